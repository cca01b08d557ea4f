"""Train one replica: one generator against one discriminator on the images of one class."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np
import torch

from stages.prepare.pixels import normalize, to_uint8
from stages.prepare.splits import derive_seed
from stages.prepare.tracker import say
from stages.train_generators import checkpoints, families
from stages.train_generators.augment import mirror, translate
from stages.train_generators.moving_average import MovingAverage
from stages.train_generators.networks import draw_latents, initialize
from stages.train_generators.params import Adam, Family, Training
from stages.train_generators.updates import TRACKED, UPDATES, Draws, Players

_STATISTICS_BATCHES = 20
_PARTS = ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer")  # of Players, in a checkpoint


class Diverged(RuntimeError):
    """A loss became NaN or infinite."""


@dataclass(frozen=True)
class Replica:
    """What one training run is given.

    name: of its class. images: uint8 (n, C, S, S). seed: all its randomness comes from it.
    mirror: whether a mirror image is of the same class, so that real images may be flipped.
    checkpoint: file for its progress, or None to keep none.
    """

    name: str
    family_name: str
    family: Family
    training: Training
    images: np.ndarray
    seed: int
    mirror: bool = False
    checkpoint: Path | None = None


@dataclass
class Trained:
    """What one training run gives.

    weights: of the published generator, evaluation mode. previews: uint8 (epochs, k, C, S, S) from fixed latents.
    epochs: one row per epoch: images_seen, the TRACKED means, images_per_second.
    """

    name: str
    weights: dict[str, np.ndarray]
    previews: np.ndarray
    epochs: list[dict[str, float]] = field(default_factory=list)


def steps_per_epoch(training: Training, available: int) -> int:
    return ceil((training.images_per_epoch or available) / training.batch_size)


def train_replica(replica: Replica, device: torch.device) -> Trained:
    """Train from the last checkpoint, or from the start.

    Every step draws from a generator seeded by (seed, step), so that a resumed run takes the very same steps.
    Raises: Diverged.
    """
    training, family = replica.training, replica.family
    shape = tuple(replica.images.shape[1:])

    def rng(*purpose: object) -> torch.Generator:
        return torch.Generator(device).manual_seed(derive_seed(replica.seed, *purpose))

    players, average = _start(replica, shape, device, rng("initial weights"))
    images = torch.from_numpy(np.ascontiguousarray(replica.images)).to(device)
    fixed = draw_latents(training.preview_images, family, rng("preview"))
    per_epoch = steps_per_epoch(training, len(images))
    total = per_epoch * training.epochs
    update, sums = UPDATES[family.update], torch.zeros(len(TRACKED), device=device)
    rows: list[dict[str, float]] = []
    previews: list[torch.Tensor] = []
    done = _resume(replica.checkpoint, players, average, rows, previews)
    if done:
        say(f"class {replica.name}: going on from step {done} of {total}")

    clock = time.perf_counter()
    for step in range(done, total):
        draws = _draws(family, training, rng("step", step))
        _set_learning_rates(players, family, training, step / total)
        indices = torch.from_numpy(batch_indices(len(images), training.batch_size, step, replica.seed)).to(device)
        real = normalize(images[indices])
        if replica.mirror:
            real = mirror(real, torch.ones(len(real), dtype=torch.bool, device=device), rng("mirror", step))
        sums += update(players, real, draws)
        seen = (step + 1) * training.batch_size
        average.update(players.generator, training.batch_size, seen)

        if (step + 1) % per_epoch == 0:
            means = (sums / per_epoch).tolist()
            if not np.isfinite(means).all():
                raise Diverged(
                    f"class {replica.name}: the losses are no longer finite after {seen} images; lower the learning rates in families.{replica.family_name}"
                )
            elapsed, clock = time.perf_counter() - clock, time.perf_counter()
            rows.append(
                {
                    "images_seen": seen,
                    **dict(zip(TRACKED, means)),
                    "images_per_second": per_epoch * training.batch_size / elapsed,
                }
            )
            sums.zero_()
            network = average.with_own_statistics(_statistics_latents(family, training, rng))
            with torch.no_grad():
                previews.append(to_uint8(network(fixed)).cpu())
            _keep(replica.checkpoint, step + 1, players, average, rows, previews)

    published = average.with_own_statistics(_statistics_latents(family, training, rng))
    weights = {
        name: value.float().cpu().contiguous().numpy()
        for name, value in published.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return Trained(replica.name, weights, torch.stack(previews).numpy(), rows)


def batch_indices(available: int, batch_size: int, step: int, seed: int) -> np.ndarray:
    """int64 (batch_size,): batch number `step` of an endless stream of reshuffled passes over the images.

    A batch larger than the class runs on into the next pass.
    """
    first = step * batch_size
    passes = range(first // available, (first + batch_size - 1) // available + 1)
    stream = np.concatenate(
        [np.random.default_rng(derive_seed(seed, "pass", number)).permutation(available) for number in passes]
    )
    return stream[first % available :][:batch_size]


def _start(
    replica: Replica, shape: tuple[int, ...], device: torch.device, rng: torch.Generator
) -> tuple[Players, MovingAverage]:
    family, module = replica.family, families.load(replica.family_name)
    networks = module.build_generator(family, shape), module.build_discriminator(family, shape)
    for network in networks:
        network.to(device=device, memory_format=torch.channels_last)
        initialize(network, family.initialization, rng)
    generator, discriminator = networks
    optimizers = (
        _adam(network, params)
        for network, params in zip(networks, (family.generator_optimizer, family.discriminator_optimizer))
    )
    return Players(generator, discriminator, *optimizers, module.objective(family)), MovingAverage(
        generator, replica.training.ema_half_life
    )


def _draws(family: Family, training: Training, rng: torch.Generator) -> Draws:
    """The randomness of one step, all of it from `rng`."""

    def augment(images: torch.Tensor) -> torch.Tensor:
        return translate(images, training.translation, rng) if training.translation else images

    return Draws(lambda count: draw_latents(count, family, rng), augment, rng)


def _adam(network: torch.nn.Module, params: Adam) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), params.learning_rate, (params.beta1, params.beta2), fused=True)


def _set_learning_rates(players: Players, family: Family, training: Training, progress: float) -> None:
    share = min(1.0, 2 * (1 - progress)) if training.learning_rate_decay == "linear" else 1.0
    for optimizer, params in (
        (players.generator_optimizer, family.generator_optimizer),
        (players.discriminator_optimizer, family.discriminator_optimizer),
    ):
        for group in optimizer.param_groups:
            group["lr"] = params.learning_rate * share


def _statistics_latents(family: Family, training: Training, rng) -> list[torch.Tensor]:
    source = rng("statistics")
    return [draw_latents(training.batch_size, family, source) for _ in range(_STATISTICS_BATCHES)]


def _keep(
    path: Path | None, step: int, players: Players, average: MovingAverage, rows: list, previews: list[torch.Tensor]
) -> None:
    if path is None:
        return
    checkpoints.save(
        path,
        {
            "step": step,
            "rows": rows,
            "previews": torch.stack(previews),
            "average": average.network.state_dict(),
            **{part: getattr(players, part).state_dict() for part in _PARTS},
        },
    )


def _resume(
    path: Path | None, players: Players, average: MovingAverage, rows: list, previews: list[torch.Tensor]
) -> int:
    """Steps already taken; everything handed in is brought to that state."""
    state = checkpoints.load(path) if path is not None else None
    if state is None:
        return 0
    for part in _PARTS:
        getattr(players, part).load_state_dict(state[part])
    average.network.load_state_dict(state["average"])
    rows.extend(state["rows"])
    previews.extend(state["previews"])
    return state["step"]
