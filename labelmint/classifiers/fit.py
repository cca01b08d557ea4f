"""Train classifiers for a fixed number of steps, and keep their best or their last weights."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import pools, targets
from labelmint.classifiers.augment import augment
from labelmint.classifiers.job import Fitted, Job, build, predict
from labelmint.data.storage.pixels import normalize
from labelmint.data.storage.splits import derive_seed
from labelmint.data.storage.weights import are_finite
from labelmint.runtime.errors import DivergedError, InputError
from labelmint.runtime.progress import Count, uncounted
from labelmint.training.engine.group import LearnerGroup
from labelmint.training.engine.optimizers import SGD, Adam, OneCycle
from labelmint.training.engine.precision import autocast
from labelmint.training.engine.step_inputs import StepDraws, StepInput
from labelmint.training.engine.together import Graph
from labelmint.training.image_ops import mirror

_BETAS = (0.9, 0.999)
_RISING = 0.2  # fraction of the steps in which the learning rate rises


def fit(job: Job, device: torch.device, count: Count = uncounted) -> Fitted:
    """Train one classifier. count: see fit_together.

    Raises: InputError if pretrained weights are not available, or an image a class is all there is;
    DivergedError.
    """
    ((_, fitted),) = fit_together([job], device, count)
    return fitted


def fit_together(
    jobs: Sequence[Job],
    device: torch.device,
    count: Count = uncounted,
    *,
    bf16: bool = False,
    resident_bytes: int = 0,
    graph_class: type[Graph] | None = None,
) -> Iterator[tuple[int, Fitted]]:
    """Train classifiers that step together; yield (position, result) as each finishes.

    count: of the steps. bf16: networks compute in bfloat16. resident_bytes: images up to this size are kept
    on the device. graph_class: see Together.
    """
    waiting = deque(ClassifierLearner(position, job, device, bf16) for position, job in enumerate(jobs))
    group: LearnerGroup[ClassifierLearner] = LearnerGroup(
        device, len(jobs), resident_bytes, "classifiers", graph_class
    )
    while waiting or group.members:
        remaining, members = [], group.step(waiting)
        count(len(members))
        for learner in members:
            learner.end_step()
            if learner.steps_done == learner.job.steps:
                yield learner.position, learner.fitted()
                learner.leave()
            else:
                remaining.append(learner)
        if len(remaining) < len(members):
            group.set_members(remaining)


class ClassifierLearner:
    """One classifier in training.

    Every step draws from a stream keyed by the job's seed and the step's number.
    """

    def __init__(self, position: int, job: Job, device: torch.device, bf16: bool):
        self.position, self.job, self.device, self.bf16 = position, job, device, bf16
        self.steps_done, self.saved = 0, None
        params = job.params
        groups = 1 if job.multi_hot else job.classes  # multi-hot labels are not stratified
        most = max(1, params.holdout_max_images // (groups * len(job.pools)))
        self.pools, (self.held_images, self.held_labels) = pools.split_holdout(
            job.pools, params.holdout_percent, most, job.seed
        )
        if not all(map(len, self.pools)):
            raise InputError(
                f"classifier {job.name}: one image a class is too few to train on, since "
                "classifier.holdout_percent needs one too; give it more images"
            )
        self.epochs = [0] * len(self.pools)
        count = min(params.evaluations, job.steps)
        self.marks = {round(job.steps * number / count) for number in range(1, count + 1)}
        self.evaluations: list[dict[str, Any]] = []
        self.best, self.best_step, self.since = (-1.0, 0.0), 0, 0
        self.weights: dict[str, np.ndarray] = {}

    @property
    def image_bytes(self) -> int:
        return sum(pool.images.nbytes for pool in self.pools)

    def build(self, *, resident: bool) -> None:
        """Put the network on the device, with the saved state if there is one, and `resident` images."""
        job, params, device = self.job, self.job.params, self.device
        with torch.random.fork_rng(devices=[]):  # modules initialize themselves from the global generator
            torch.manual_seed(derive_seed(job.seed, "initial weights"))
            network = build(params, job.shape, job.classes, job.raw)
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.teacher: torch.nn.Module | None = None
        if job.teacher is not None:
            self.teacher = job.teacher().to(device).to(memory_format=torch.channels_last).eval()
        parameters: list[torch.Tensor] = list(network.parameters())
        self.optimizer: SGD | Adam = (
            Adam(parameters, *_BETAS, params.weight_decay)
            if params.optimizer == "adamw"
            else SGD(parameters, params.momentum, params.weight_decay)
        )
        self.loss_sum = torch.zeros((), device=device)
        self.draws = StepDraws(device)
        flips = job.mirror is not None and any(job.mirror)
        self.may_flip = torch.tensor(job.mirror, device=device) if flips else None
        size, labels = params.batch_size, self.pools[0].labels
        label_type = torch.float32 if job.multi_hot else torch.int64
        self.resident: tuple[torch.Tensor, torch.Tensor] | None = None
        if resident:
            capacity = sum(map(len, job.pools))  # a renewed pool has as many images as before the holdout
            self.resident = (
                torch.zeros(capacity, *job.shape, dtype=torch.uint8, device=device),
                torch.zeros(capacity, *labels.shape[1:], dtype=label_type, device=device),
            )
            self._send_pools()
        self.inputs = {
            "rate": StepInput((), torch.float64 if device.type == "cpu" else torch.float32, device),
            "indices": StepInput((size,), torch.int64, device),
        }
        if not resident:
            self.inputs["images"] = StepInput((size, *job.shape), torch.uint8, device)
            self.inputs["labels"] = StepInput((size, *labels.shape[1:]), label_type, device)
        if self.saved is not None:
            self._load(self.saved)
            self.saved = None

    def leave(self) -> None:
        """Release what `build` has built."""
        del self.network, self.teacher, self.optimizer, self.loss_sum, self.draws, self.may_flip
        del self.inputs, self.resident

    def prepare(self) -> None:
        """Host: draw the next step's images, and write what differs between steps."""
        job, params, step = self.job, self.job.params, self.steps_done
        self._renew()
        if params.epochs is None:
            chosen = pools.draw_batch(self.pools, params.batch_size, derive_seed(job.seed, "batch", step))
        else:
            chosen = pools.epoch_batch(sum(map(len, self.pools)), step, params.batch_size, job.seed)
        self.inputs["indices"].write(chosen)
        if self.resident is None:
            images, labels = pools.gather(self.pools, chosen)
            self.inputs["images"].write(images)
            self.inputs["labels"].write(labels)
        rate = params.learning_rate
        if params.learning_rate_schedule == "one_cycle":
            rate = OneCycle.of_rate(rate, _RISING).at(step, job.steps)
        self.inputs["rate"].write(rate)
        self.draws.prepare(derive_seed(job.seed, "step", step))

    def _send_pools(self) -> None:
        """Write the images of all pools, one after another, to the device, if they are kept there."""
        if self.resident is None:
            return
        first = 0
        for pool in self.pools:
            rows = slice(first, first + len(pool))
            for own, new in zip(self.resident, (pool.images, pool.labels)):
                own[rows] = torch.from_numpy(np.ascontiguousarray(new))
            first += len(pool)

    def _renew(self) -> None:
        """Replace the images of pools that have new ones in every epoch."""
        renewed = False
        for position, pool in enumerate(self.pools):
            epoch = int(self.steps_done * self.job.params.batch_size * pool.fraction) // len(pool)
            if pool.renewal and epoch > self.epochs[position]:
                self.epochs[position], renewed = epoch, True
                self.pools[position] = pool.replaced(*pool.renewal.draw(epoch))
        if renewed:
            self._send_pools()

    def step(self) -> None:
        """Device: train for one step."""
        self.draws.begin()
        stream = self.draws.root()
        if self.resident is None:
            images, labels = self.inputs["images"].values, self.inputs["labels"].values
        else:
            images, labels = (part[self.inputs["indices"].values] for part in self.resident)
        batch = augment(normalize(images), self.job.params.augmentation, stream)
        if self.may_flip is not None:
            batch = mirror(batch, targets.may_flip(self.may_flip, labels), stream)
        batch = batch.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.bf16):
            logits = self.network(batch, stream)
        if self.teacher is None:
            loss = targets.loss(logits.float(), labels, self.job.multi_hot)
        else:
            loss = self._distillation(self.teacher, batch, logits.float())
        gradients = torch.autograd.grad(loss, self.optimizer.weights)
        self.optimizer.step(list(gradients), self.inputs["rate"].values)
        self.loss_sum += loss.detach()

    def _distillation(
        self, teacher: torch.nn.Module, batch: torch.Tensor, logits: torch.Tensor
    ) -> torch.Tensor:
        """The loss against what the teacher says of the very images that the network sees."""
        with torch.no_grad(), autocast(self.device, self.bf16):
            taught = teacher(batch)
        temperature = self.job.params.distillation_temperature
        return targets.distillation(logits, taught.float(), temperature, self.job.multi_hot)

    def end_step(self) -> None:
        """Host: count the step, and evaluate on the held-out images where it is due."""
        self.steps_done, self.since = self.steps_done + 1, self.since + 1
        if self.steps_done not in self.marks:
            return
        multi_hot, held = self.job.multi_hot, torch.from_numpy(self.held_labels)
        logits = predict(self.network, self.held_images, self.device)
        accuracy = targets.fraction_correct(targets.decide(logits, multi_hot), self.held_labels)
        loss = targets.loss(torch.from_numpy(logits), held, multi_hot).item()
        train_loss = self.loss_sum.item() / self.since
        if not (math.isfinite(train_loss) and math.isfinite(loss)):
            raise self._diverged("the loss is")
        self.evaluations.append(
            {
                "step": self.steps_done,
                "train_loss": train_loss,
                "holdout_loss": loss,
                "holdout_accuracy": accuracy,
            }
        )
        self.loss_sum.zero_()
        self.since = 0
        if (accuracy, -loss) > self.best or self.job.params.checkpoint == "last":
            self.best, self.best_step = (accuracy, -loss), self.steps_done
            self.weights = {
                name: value.detach().cpu().contiguous().numpy().copy()
                for name, value in self.network.state_dict().items()
            }
        self.network.train()

    def fitted(self) -> Fitted:
        """The result. Raises: DivergedError if the weights are not finite."""
        if not are_finite(self.weights):
            raise self._diverged("the weights are")
        return Fitted(self.weights, self.evaluations, self.best_step, len(self.held_labels))

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"classifier {self.job.name}: {what} no longer finite after step {self.steps_done:,} of "
            f"{self.job.steps:,}; lower classifier.learning_rate"
        )

    def state(self) -> dict[str, Any]:
        """Everything that training changes: tensors, and lists and dicts of tensors."""
        return {
            "network": dict(self.network.state_dict()),
            "optimizer": self.optimizer.state(),
            "loss_sum": self.loss_sum,
        }

    @torch.no_grad()
    def _load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load(state["optimizer"])
        self.loss_sum.copy_(state["loss_sum"])
