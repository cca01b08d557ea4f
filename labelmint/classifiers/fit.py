"""Train one classifier for a fixed number of steps, and keep its best or its last weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import pools, targets
from labelmint.classifiers.augment import augment
from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.small_networks import Linear, SmallCNN
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.random_streams import Stream
from labelmint.training.image_ops import mirror

_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Job:
    """One classifier to train.

    source: the name of its image source. classes: number of classes or attributes. raw: folder of downloaded
    weights.
    mirror: by class or attribute, whether its images may be flipped; None for no class. view: the view that
    the pools show, one of views.VIEWS; None for the whole image. simple: whether it is a simple classifier of
    the source.
    """

    source: str
    pools: list[Pool]
    classes: int
    params: Classifier
    seed: int
    raw: Path
    mirror: list[bool] | None = None
    view: str | None = None
    simple: bool = False

    @property
    def name(self) -> str:
        return f"{self.source}-{self.params.network}" if self.simple else self.source

    @property
    def steps(self) -> int:
        if self.params.epochs is None:
            return self.params.steps
        return max(1, -(-self.params.epochs * sum(map(len, self.pools)) // self.params.batch_size))

    @property
    def multi_hot(self) -> bool:
        return self.pools[0].multi_hot

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pools[0].images.shape[1:]
        return channels, height, width

    def count(self, origin: str) -> int:
        """Number of images of one origin."""
        return sum(len(pool) for pool in self.pools if pool.origin == origin)


@dataclass(frozen=True)
class Fitted:
    """A trained classifier.

    weights: those of best_step. evaluations: one row each: step, train_loss, holdout_loss, holdout_accuracy.
    held_out: number of images of the source that were held out for the evaluations.
    """

    weights: dict[str, np.ndarray]
    evaluations: list[dict[str, Any]]
    best_step: int
    held_out: int

    @property
    def best(self) -> dict[str, Any]:
        """The evaluation of the weights."""
        return next(row for row in self.evaluations if row["step"] == self.best_step)


def build(params: Classifier, shape: tuple[int, int, int], classes: int, raw: Path | None) -> torch.nn.Module:
    """The network that the settings name.

    shape: (C, S, S) of the images. raw: folder of downloaded weights; None loads none.
    """
    if params.network == "small_cnn":
        return SmallCNN(shape, classes)
    if params.network == "linear":
        return Linear(shape, classes)
    return EfficientNetB0(params, shape, classes, raw)


def fit(job: Job, device: torch.device) -> Fitted:
    """Train one classifier. Raises: InputError if pretrained weights are not available."""
    params, steps = job.params, job.steps
    with torch.random.fork_rng(devices=[]):  # modules initialize themselves from the global generator
        torch.manual_seed(derive_seed(job.seed, "initial weights"))
        network = build(params, job.shape, job.classes, job.raw)
    network = network.to(device).to(memory_format=torch.channels_last)
    groups = 1 if job.multi_hot else job.classes  # multi-hot labels are not stratified
    most = max(1, params.holdout_max_images // (groups * len(job.pools)))
    trained, (held_images, held_labels) = pools.split_holdout(
        job.pools, params.holdout_percent, most, job.seed
    )
    optimizer, schedule = _optimizer(network, params, steps)
    count = min(params.evaluations, steps)
    marks = {round(steps * number / count) for number in range(1, count + 1)}
    evaluations: list[dict[str, Any]] = []
    best, best_step, weights = (-1.0, 0.0), 0, {}
    loss_sum, since = torch.zeros((), device=device), 0

    network.train()
    epochs = [0] * len(trained)
    for step in range(steps):
        for position, pool in enumerate(trained):
            epoch = int(step * params.batch_size * pool.fraction) // len(pool)
            if pool.renewal and epoch > epochs[position]:
                epochs[position] = epoch
                trained[position] = pool.replaced(*pool.renewal.draw(epoch))
        stream = Stream(derive_seed(job.seed, "step", step), device)
        if params.epochs is None:
            chosen = pools.draw_batch(trained, params.batch_size, derive_seed(job.seed, "batch", step))
        else:
            chosen = pools.epoch_batch(sum(map(len, trained)), step, params.batch_size, job.seed)
        images, labels = (torch.from_numpy(part).to(device) for part in pools.gather(trained, chosen))
        images = augment(normalize(images), params.augmentation, stream)
        if job.mirror and any(job.mirror):
            images = mirror(images, targets.may_flip(job.mirror, labels), stream)
        images = images.contiguous(memory_format=torch.channels_last)
        loss = targets.loss(network(images, stream), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
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
    """Logits in evaluation mode, float32 (N, classes). images: uint8 (N, C, S, S)."""
    network.eval()
    parts = []
    for start in range(0, len(images), _EVALUATION_BATCH):
        part = torch.from_numpy(np.array(images[start : start + _EVALUATION_BATCH]))
        batch = normalize(part.to(device)).contiguous(memory_format=torch.channels_last)
        parts.append(network(batch).cpu())
    logits: np.ndarray = torch.cat(parts).numpy()
    return logits


def _optimizer(
    network: torch.nn.Module, params: Classifier, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    weights, rate, decay = network.parameters(), params.learning_rate, params.weight_decay
    optimizer: torch.optim.Optimizer
    if params.optimizer == "adamw":
        optimizer = torch.optim.AdamW(weights, rate, weight_decay=decay, fused=True)
    else:
        optimizer = torch.optim.SGD(weights, rate, params.momentum, weight_decay=decay)
    if params.learning_rate_schedule == "constant":
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.2, cycle_momentum=False
    )
