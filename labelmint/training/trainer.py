"""Train replicas: each one generator against one discriminator, on the images of one class or of all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.conditioning import encode
from labelmint.gans.initialization import draw_latents
from labelmint.gans.settings import Family
from labelmint.random_streams import Stream
from labelmint.runtime.progress import say
from labelmint.runtime.settings import flat
from labelmint.training import health
from labelmint.training.checkpoints import Checkpoints, Pace
from labelmint.training.images import Images, Sampler, batches
from labelmint.training.settings import Training
from labelmint.training.stacked import Stacked
from labelmint.training.stopping import Request, defer_signals
from labelmint.training.team import Batch, Single, discriminator_of
from labelmint.training.updates import TRACKED

_STATISTICS_BATCHES = 20
_STATISTICS_OF_A_LOOK = 4
_EVERY_IMAGES = 2048

Watch = Callable[[int, int, dict[str, Any] | None], None]
"""Called with (position of the replica, images seen since the last call, the row of an epoch that ended or None)."""


class Diverged(RuntimeError):
    """A loss became NaN or infinite, and no restart is left."""


@dataclass(frozen=True)
class Replica:
    """What one training run is given.

    name: of its class. rows: int64 (n,), of its images. seed: all its randomness comes from it.
    mirrored: bool (n,), or one for all: whether a mirror image has the same label, so that a real image may be flipped.
    labels: what it is told of each image, int64 (n,) or multi-hot (n, K); None: nothing. label_length: K, 0 for None.
    shown: float32 (V, K), the labels of which its previews show a row each.
    checkpoints: folder for its progress, or None to keep none. data: names the images, for the checkpoints.
    """

    name: str
    family_name: str
    family: Family
    training: Training
    rows: np.ndarray
    seed: int
    mirrored: bool | np.ndarray = False
    labels: np.ndarray | None = None
    label_length: int = 0
    shown: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), np.float32))
    checkpoints: Path | None = None
    data: str = ""

    @property
    def images_per_step(self) -> int:
        return self.training.batch_size * self.family.n_critic

    @property
    def steps_per_epoch(self) -> int:
        return ceil((self.training.images_per_epoch or len(self.rows)) / self.images_per_step)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.training.epochs

    def identity(self) -> dict[str, Any]:
        settings = {"generator": self.family_name, "family": asdict(self.family), "training": asdict(self.training)}
        return {**flat(settings), "class": self.name, "images": len(self.rows), "seed": self.seed, "data": self.data}


@dataclass
class Trained:
    """What one training run gives.

    weights: of the published generator, evaluation mode. previews: uint8 (epochs, V, k, C, S, S) from k fixed latents, one row
    for each of the labels shown.
    epochs: one row per epoch: attempt, epoch, images_seen, the TRACKED means, diversity, health, images_per_second. An
    attempt that was given up keeps its rows.
    discriminator: weights of the last one, not averaged.
    """

    name: str
    weights: dict[str, np.ndarray]
    previews: np.ndarray
    epochs: list[dict[str, Any]]
    discriminator: dict[str, np.ndarray]


class _Run:
    """A replica on its way."""

    def __init__(self, position: int, replica: Replica, images: Images):
        self.position, self.replica = position, replica
        self.checkpoints = Checkpoints(replica.checkpoints, replica.identity())
        self.spacing = _spacing(images, replica)
        self.rows: list[dict[str, Any]] = []
        self.saved = self.checkpoints.load()
        self.begin(self.saved["attempt"] if self.saved else 0)
        if self.saved:
            self.step, self.rows, self.previews = self.saved["step"], self.saved["rows"], list(self.saved["previews"])
            for name, value in self.saved["monitor"].items():
                setattr(self.monitor, name, value)
            say(f"class {replica.name}: going on from step {self.step:,} of {replica.steps:,}")

    def begin(self, attempt: int) -> None:
        self.attempt, self.step = attempt, 0
        self.seed = derive_seed(self.replica.seed, "restart", attempt) if attempt else self.replica.seed
        self.previews: list[torch.Tensor] = []
        self.monitor = health.Monitor(
            self.spacing, registry.load(self.replica.family_name).objective(self.replica.family).saturates
        )
        self.sampler = Sampler(len(self.replica.rows), self.replica.images_per_step, self.seed)

    def network(self, shape: tuple[int, int, int], device: torch.device, kind: type[Single]) -> Single:
        replica = self.replica
        mirrored = bool(np.any(replica.mirrored))
        single = kind(replica.family_name, replica.family, replica.training, shape, replica.label_length, self.seed, mirrored, device)  # fmt: skip
        if self.saved:
            single.load(self.saved["team"])
            self.saved = None
        self.clock, self.clocked = time.perf_counter(), self.step
        return single

    def save(self, team: Single | Stacked, position: int) -> None:
        if self.checkpoints.folder is None:
            return
        previews = torch.stack(self.previews) if self.previews else torch.zeros(0, dtype=torch.uint8)
        self.checkpoints.save(
            self.attempt,
            self.step,
            {
                "rows": self.rows,
                "previews": previews,
                "monitor": asdict(self.monitor),
                "team": team.state(position),
            },
        )

    def look(self, team: Single | Stacked, position: int, device: torch.device) -> dict[str, Any]:
        """At the end of an epoch: what was tracked, images of the fixed latents, and whether the replica is well."""
        replica, training = self.replica, self.replica.training
        network = team.published(position, self.inputs("statistics", _STATISTICS_OF_A_LOOK, device))
        stream = Stream(derive_seed(self.seed, "preview"), device)
        latents = draw_latents(max(health.LOOKED_AT, training.preview_images), replica.family, stream)
        rows, shown = latents[: training.preview_images], torch.from_numpy(replica.shown).to(device)
        with torch.no_grad():
            images = to_uint8(network(latents, self.labels(len(latents), stream))[0])
            sheet = torch.stack([to_uint8(network(rows, label.expand(len(rows), -1))[0]) for label in shown])
        self.previews.append(sheet.cpu().contiguous())
        means = dict(zip(TRACKED, team.means(position, replica.steps_per_epoch)))
        diversity, verdict = self.monitor.look(means, images[: health.LOOKED_AT], self.step / replica.steps)
        now = time.perf_counter()
        speed = (self.step - self.clocked) * replica.images_per_step / (now - self.clock)
        self.clock, self.clocked = now, self.step
        row = {
            "attempt": self.attempt,
            "epoch": self.step // replica.steps_per_epoch,
            "images_seen": self.step * replica.images_per_step,
            **means,
            "diversity": diversity,
            "health": verdict,
            "images_per_second": speed,
        }
        self.rows.append(row)
        return row

    def labels(self, count: int, stream: Stream) -> torch.Tensor:
        """float (count, K): of real images, drawn with replacement."""
        replica = self.replica
        if replica.labels is None:
            return torch.zeros(count, 0, device=stream.device)
        chosen = stream.integers(0, len(replica.labels) - 1, count).cpu().numpy()
        return encode(torch.from_numpy(replica.labels[chosen]).to(stream.device), replica.label_length)

    def inputs(self, purpose: str, count: int, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """`count` batches of latents and labels."""
        stream, replica = Stream(derive_seed(self.seed, purpose), device), self.replica
        size = replica.training.batch_size
        return [(draw_latents(size, replica.family, stream), self.labels(size, stream)) for _ in range(count)]

    def finished(self, team: Single | Stacked, position: int, device: torch.device) -> Trained:
        network = team.published(position, self.inputs("statistics", _STATISTICS_BATCHES, device))
        previews = torch.stack(self.previews).numpy()
        return Trained(self.replica.name, _arrays(network), previews, self.rows, _arrays(discriminator_of(team, position)))  # fmt: skip


def _arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {
        name: value.float().cpu().contiguous().numpy()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


@dataclass(frozen=True)
class Setup:
    """Where and how replicas are trained; none of it changes what comes out.

    resident_bytes: images of up to so many bytes are held on the device. join: makes one team of several replicas, to train
    them at once; None trains one after another. kind: Single or a subclass. saves: whether this process keeps the checkpoints.
    """

    device: torch.device = torch.device("cpu")
    resident_bytes: int = 1 << 30
    join: Callable[[list[Single]], Stacked] | None = None
    kind: type[Single] = Single
    saves: bool = True


def train(
    replicas: Sequence[Replica], images: Images, setup: Setup = Setup(), watch: Watch = lambda *_: None
) -> Iterator[tuple[int, Trained]]:
    """Yield (position, what became of it) as replicas finish.

    images: of all replicas. A stop signal is heeded between two steps, when all progress has been saved.
    Raises: Diverged; checkpoints.IdentityChanged.
    """
    with defer_signals() as request:
        waiting = [_Run(position, replica, images) for position, replica in enumerate(replicas)]
        while waiting and not request.granted:
            group = [run for run in waiting if run is waiting[0] or (setup.join and _in_step(run, waiting[0]))]
            waiting = [run for run in waiting if run not in group]
            for run, result in _train_group(group, images, setup, watch, request):
                if result is None:
                    run.begin(run.attempt + 1)
                    waiting.append(run)
                else:
                    yield run.position, result


def _in_step(run: _Run, other: _Run) -> bool:
    """Whether one number of the step and one learning rate serve both."""
    decays = run.replica.training.learning_rate_decay != "none"
    if (run.replica.family, run.replica.label_length) != (other.replica.family, other.replica.label_length):
        return False
    return run.step == other.step and not (decays and run.replica.steps != other.replica.steps)


def _train_group(
    group: list[_Run], images: Images, setup: Setup, watch: Watch, request: Request
) -> Iterator[tuple[_Run, Trained | None]]:
    """Train runs of one step number until all have left: yields each with its result, or None to begin it anew."""
    device = setup.device
    singles = [run.network(images.shape, device, setup.kind) for run in group]
    team = setup.join(singles) if setup.join else singles[0]
    del singles
    offsets = np.cumsum([0, *(len(run.replica.rows) for run in group)])[:-1]
    read = batches(images, np.concatenate([run.replica.rows for run in group]), device, setup.resident_bytes)
    told = Told([run.replica for run in group], device)
    places = {run.position: offset for run, offset in zip(group, offsets)}
    training, pace, step = group[0].replica.training, Pace(), group[0].step
    while group:
        drawn = np.stack([run.sampler(step) + places[run.position] for run in group])
        mine = team.mine(drawn if setup.join else drawn[0])
        per_step = group[0].replica.images_per_step
        seen = (step + 1) * per_step
        share = _share(training, step / group[0].replica.steps)
        team.train_step(step, Batch(read(mine), *told(mine)), share, newest(training.ema_half_life, per_step, seen))
        step += 1
        staying = []
        for position, run in enumerate(group):
            run.step = step
            row = run.look(team, position, device) if step % run.replica.steps_per_epoch == 0 else None
            watch(run.position, per_step, row)
            if row is not None and run.monitor.failed and _given_up(run, row):
                yield run, None
            elif step == run.replica.steps:
                yield run, run.finished(team, position, device)
            else:
                staying.append(position)
        if len(staying) < len(group):
            group = [group[position] for position in staying]
            team.keep(staying)
        stop = team.all_stop(request.number is not None, step)
        if group and setup.saves and (stop or pace.due()):
            began = time.monotonic()
            for position, run in enumerate(group):
                run.save(team, position)
            pace.took(time.monotonic() - began)
        if stop:
            request.grant()
            return


class Told:
    """What is known of the images of several replicas, by place: their labels, and whether they may be flipped."""

    def __init__(self, replicas: Sequence[Replica], device: torch.device):
        self.device, self.length = device, replicas[0].label_length
        self.mirrored = np.concatenate([np.broadcast_to(each.mirrored, len(each.rows)) for each in replicas])
        self.labels = np.concatenate([each.labels for each in replicas]) if self.length else None

    def __call__(self, places: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """int64 (...) -> float (..., K), bool (...)."""
        mirrored = torch.from_numpy(self.mirrored[places]).to(self.device, non_blocking=True)
        if self.labels is None:
            return torch.zeros(*places.shape, 0, device=self.device), mirrored
        labels = torch.from_numpy(self.labels[places]).to(self.device, non_blocking=True)
        return encode(labels, self.length), mirrored


def in_steps(watch: Watch) -> Watch:
    """The same, called less often."""
    waiting = 0

    def collect(position: int, images: int, row: dict[str, Any] | None) -> None:
        nonlocal waiting
        waiting += images
        if row is not None or waiting >= _EVERY_IMAGES:
            watch(position, waiting, row)
            waiting = 0

    return collect


def _given_up(run: _Run, row: dict[str, Any]) -> bool:
    """Whether to begin anew with another seed. Raises: Diverged when it cannot go on and may not begin anew."""
    name, verdict, seen = run.replica.name, row["health"], row["images_seen"]
    if run.attempt < run.replica.training.restarts:
        say(f"class {name}: {verdict} after {seen:,} images; beginning anew with another seed")
        return True
    if verdict == health.NOT_FINITE:
        raise Diverged(
            f"class {name}: the losses are no longer finite after {seen} images; lower the learning rates in families.{run.replica.family_name}"
        )
    return False


def newest(half_life: int, images: int, images_seen: int) -> float:
    """Weight of the newest weights in the average, after a step of `images`, of `images_seen` in all (Yazıcı et al. 2019).

    half_life: images after which a weight's share has halved; 0 keeps the newest only. Early on it is a twentieth of
    what was seen, so that the first weights do not linger.
    """
    half_life = min(half_life, images_seen / 20)
    return 1 - 0.5 ** (images / half_life) if half_life > 0 else 1.0


def _share(training: Training, progress: float) -> float:
    """Of the learning rates, by their schedule."""
    if training.learning_rate_decay == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return min(1.0, 2 * (1 - progress)) if training.learning_rate_decay == "linear" else 1.0


def _spacing(images: Images, replica: Replica) -> float:
    rows = replica.rows[np.linspace(0, len(replica.rows) - 1, min(health.LOOKED_AT, len(replica.rows))).astype(int)]
    return health.spacing(torch.from_numpy(images.take(rows))) if len(rows) > 1 else 0.0
