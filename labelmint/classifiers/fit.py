"""Train one classifier for a fixed number of steps, and keep its best moment on held-out training images, or its last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Optional, Protocol

import numpy as np
import torch

from labelmint.classifiers import targets
from labelmint.classifiers.augment import augment
from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.linear import Linear
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.small_cnn import SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import at_most, derive_seed, hold_out, strata
from labelmint.random_streams import Stream
from labelmint.training.image_ops import mirror

_EVALUATION_BATCH = 256


class Renewal(Protocol):
    """Where a pool's images of a further epoch come from."""

    def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels; epoch counts from 1, the pool's own images being those of epoch 0."""
        ...


@dataclass(frozen=True)
class Pool:
    """Labelled images of one origin, and their share of each batch.

    images: uint8 (N, C, S, S). labels: int64 (N,), or float32 multi-hot (N, A). renewal: None keeps them for all epochs.
    bootstrap: seed of a draw with replacement from those that are trained on; None trains on each.
    """

    origin: Literal["real", "synthetic"]
    images: np.ndarray
    labels: np.ndarray
    share: float = 1.0
    renewal: Optional[Renewal] = None
    bootstrap: Optional[int] = None


@dataclass(frozen=True)
class Job:
    """source: real, synthetic, mixed, ... classes: how many, or how many attributes. raw: where weights by name are looked up.
    mirror: bool by class or attribute, whether its images may be flipped; None for no class.
    view: what of the images the pools show, of views.VIEWS; None for all. checks: the source that this is only a weak check of.
    """

    source: str
    pools: list[Pool]
    classes: int
    params: Classifier
    seed: int
    raw: Path
    mirror: list[bool] | None = None
    view: str | None = None
    evaluations: str | None = None

    @property
    def name(self) -> str:
        return f"{self.evaluations}-{self.params.network}" if self.evaluations else self.source

    @property
    def steps(self) -> int:
        if self.params.epochs is None:
            return self.params.steps
        return max(1, -(-self.params.epochs * sum(len(pool.labels) for pool in self.pools) // self.params.batch_size))

    @property
    def multi_hot(self) -> bool:
        return self.pools[0].labels.ndim > 1

    def count(self, origin: str) -> int:
        """How many images of one origin the job is given."""
        return sum(len(pool.labels) for pool in self.pools if pool.origin == origin)


@dataclass(frozen=True)
class Fitted:
    """weights: of the moment that is kept. checks: one row each: step, train_loss, holdout_loss, holdout_accuracy.

    held_out: how many of the source's images were not trained on, for these checks.
    """

    weights: dict[str, np.ndarray]
    evaluations: list[dict[str, float]]
    best_step: int
    held_out: int


def build(params: Classifier, shape: tuple[int, int, int], classes: int, raw: Path | None) -> torch.nn.Module:
    """shape: (C, S, S). raw: where pretrained weights are looked up; None leaves them out, for a caller who has better."""
    if params.network == "small_cnn":
        return SmallCNN(shape, classes)
    if params.network == "linear":
        return Linear(shape, classes)
    return EfficientNetB0(params, shape, classes, raw)


def fit(job: Job, device: torch.device) -> Fitted:
    """Raises: InputError when weights cannot be had."""
    params, steps = job.params, job.steps
    shape = tuple(job.pools[0].images.shape[1:])
    with torch.random.fork_rng(devices=[]):  # modules initialise themselves from the global generator
        torch.manual_seed(derive_seed(job.seed, "initial weights"))
        network = build(params, shape, job.classes, job.raw).to(device=device, memory_format=torch.channels_last)
    pools, (held_images, held_labels) = _hold_out(job)
    optimizer, schedule = _optimizer(network, params, steps)
    looks = min(params.evaluations, steps)
    marks = {round(steps * look / looks) for look in range(1, looks + 1)}
    evaluations, best, weights, loss_sum, since = [], (-1.0, 0.0), {}, torch.zeros((), device=device), 0

    network.train()
    epochs = [0] * len(pools)
    for step in range(steps):
        for place, pool in enumerate(pools):
            epoch = int(step * params.batch_size * pool.share) // len(pool.labels)
            if pool.renewal and epoch > epochs[place]:
                epochs[place], (images, labels) = epoch, pool.renewal.draw(epoch)
                pools[place] = replace(pool, images=images, labels=labels)
        stream = Stream(derive_seed(job.seed, "step", step), device)
        if params.epochs is None:
            chosen = _draw(pools, params.batch_size, derive_seed(job.seed, "batch", step))
        else:
            chosen = _in_turn(sum(len(pool.labels) for pool in pools), step, params.batch_size, job.seed)
        images, labels = _batch(pools, chosen, device)
        images = augment(normalize(images), params.augmentation, stream)
        if job.mirror and any(job.mirror):
            images = mirror(images, targets.may_flip(job.mirror, labels), stream)
        images = images.contiguous(memory_format=torch.channels_last)
        loss = targets.loss(network(images, stream), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        loss_sum, since = loss_sum + loss.detach(), since + 1
        if step + 1 in marks:
            logits = predict(network, held_images, device)
            accuracy = targets.fraction_correct(targets.decide(logits, job.multi_hot), held_labels)
            holdout_loss = targets.loss(torch.from_numpy(logits), torch.from_numpy(held_labels)).item()
            evaluations.append(
                {
                    "step": step + 1,
                    "train_loss": loss_sum.item() / since,
                    "holdout_loss": holdout_loss,
                    "holdout_accuracy": accuracy,
                }
            )
            loss_sum, since = torch.zeros((), device=device), 0
            if (accuracy, -holdout_loss) > best or params.checkpoint == "last":
                best, best_step = (accuracy, -holdout_loss), step + 1
                weights = {
                    name: value.detach().cpu().contiguous().numpy().copy()
                    for name, value in network.state_dict().items()
                }
            network.train()
    return Fitted(weights, evaluations, best_step, len(held_labels))


@torch.no_grad()
def predict(network: torch.nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    """images: uint8 (N, C, S, S) -> logits float32 (N, classes), in evaluation mode."""
    network.eval()
    parts = []
    for at in range(0, len(images), _EVALUATION_BATCH):
        batch = normalize(torch.from_numpy(np.array(images[at : at + _EVALUATION_BATCH])).to(device))
        parts.append(network(batch.contiguous(memory_format=torch.channels_last)).cpu())
    return torch.cat(parts).numpy()


def _hold_out(job: Job) -> tuple[list[Pool], tuple[np.ndarray, np.ndarray]]:
    """(what is trained on, what the best moment is chosen on): both of the arm's own origin, never the test set."""
    kept, held = [], []
    groups = 1 if job.multi_hot else job.classes  # multi-hot labels are drawn from as a whole
    most = max(1, job.params.holdout_max_images // (groups * len(job.pools)))
    for position, pool in enumerate(job.pools):
        _, out = hold_out(pool.labels, job.params.holdout_percent, job.seed, "holdout", position)
        out = out[at_most(pool.labels[out], most, job.seed, "fewer", position)]
        rest = np.setdiff1d(np.arange(len(pool.labels)), out)
        # After the draw of the held-out, whose copies would else be trained on.
        kept.append(resampled(replace(pool, images=pool.images[rest], labels=pool.labels[rest])))
        held.append((pool.images[out], pool.labels[out]))
    held_images, held_labels = (np.concatenate(parts) for parts in zip(*held))
    return kept, (held_images, held_labels)


def resampled(pool: Pool) -> Pool:
    """Where it has a bootstrap, as many of its images drawn with replacement, of each class as many as before; else itself."""
    if pool.bootstrap is None:
        return pool
    rng, chosen = np.random.default_rng(derive_seed(pool.bootstrap, "bootstrap")), np.arange(len(pool.labels))
    groups = strata(pool.labels)
    for label in np.unique(groups):
        members = np.flatnonzero(groups == label)
        chosen[members] = rng.choice(members, len(members))
    return replace(pool, images=pool.images[chosen], labels=pool.labels[chosen], bootstrap=None)


def _draw(pools: list[Pool], size: int, seed: int) -> np.ndarray:
    """int64 (size,): places in all pools together, drawn with replacement, from each pool its share."""
    rng, chosen, first = np.random.default_rng(seed), np.empty(size, np.int64), 0
    origin = rng.choice(len(pools), size, p=[pool.share for pool in pools])
    for position, pool in enumerate(pools):
        places = np.flatnonzero(origin == position)
        chosen[places] = first + rng.integers(len(pool.labels), size=len(places))
        first += len(pool.labels)
    return chosen


def _in_turn(total: int, step: int, size: int, seed: int) -> np.ndarray:
    """int64 (size,): the places of one step, where every epoch goes through all of `total` once, in an order of its own."""
    at = np.arange(step * size, (step + 1) * size)
    first, last = at[0] // total, at[-1] // total
    orders = [_order(total, seed, epoch) for epoch in range(first, last + 1)]
    return np.concatenate(orders)[at - first * total] if len(orders) > 1 else orders[0][at - first * total]


@lru_cache(maxsize=2)
def _order(total: int, seed: int, epoch: int) -> np.ndarray:
    """Kept, since every step of an epoch asks for it."""
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(total)


def _batch(pools: list[Pool], chosen: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """chosen: int64 (B,), places in all pools together -> images uint8 (B, C, S, S), and their labels."""
    images = np.empty((len(chosen), *pools[0].images.shape[1:]), np.uint8)
    labels = np.empty((len(chosen), *pools[0].labels.shape[1:]), pools[0].labels.dtype)
    first = 0
    for pool in pools:
        inside = np.flatnonzero((first <= chosen) & (chosen < first + len(pool.labels)))
        images[inside] = pool.images[chosen[inside] - first]
        labels[inside] = pool.labels[chosen[inside] - first]
        first += len(pool.labels)
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


def _optimizer(
    network: torch.nn.Module, params: Classifier, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if params.optimizer == "adamw":
        optimizer = torch.optim.AdamW(
            network.parameters(), params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
    else:
        optimizer = torch.optim.SGD(
            network.parameters(), params.learning_rate, params.momentum, weight_decay=params.weight_decay
        )
    if params.learning_rate_schedule == "constant":
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, params.learning_rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
