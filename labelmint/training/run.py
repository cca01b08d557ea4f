"""The run of one replica: its attempts, its checkpoints, and the evaluation at the end of each epoch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.data.storage.weights import are_finite
from labelmint.gans import registry
from labelmint.gans.conditioning import encode
from labelmint.gans.initialization import draw_latents
from labelmint.random_streams import Stream
from labelmint.runtime.errors import DivergedError
from labelmint.runtime.progress import say
from labelmint.training import health
from labelmint.training.checkpoints import Checkpoints
from labelmint.training.engine.optimizers import ema_weight, learning_rate_factor
from labelmint.training.engine.together import Graph
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.images import BatchReader, Images, Sampler
from labelmint.training.replica import Replica, ReplicaLabels, Trained
from labelmint.training.updates import TRACKED

_STATISTICS_BATCHES = 20
"""Batches for the batch-norm statistics of the published generator."""

_EPOCH_STATISTICS_BATCHES = 4
"""Batches for the statistics of the generator that is evaluated at the end of an epoch."""


@dataclass(frozen=True)
class Setup:
    """Where and how replicas are trained. On a CPU it does not change the result.

    resident_bytes: images up to this size are kept on the device. at_once: replicas that step together; None
    is all. bf16: networks compute in bfloat16. learner_class: GanLearner or a subclass. writes_checkpoints:
    whether this process writes them. graph_class: see Together.
    """

    device: torch.device = torch.device("cpu")
    resident_bytes: int = 1 << 30
    at_once: int | None = 1
    bf16: bool = False
    learner_class: type[GanLearner] = GanLearner
    writes_checkpoints: bool = True
    graph_class: type[Graph] | None = None


class Run:
    """One replica in training, a Learner once it is built.

    steps_done: in this attempt. rows: one per epoch so far. saved: state that `build` continues from. A new
    run resumes from the latest checkpoint if there is one.
    """

    def __init__(self, position: int, replica: Replica, images: Images, setup: Setup):
        self.position, self.replica, self.images, self.setup = position, replica, images, setup
        self.checkpoints = Checkpoints(replica.checkpoints, replica.identity())
        self.real_spacing = _real_spacing(images, replica)
        self.rows: list[dict[str, Any]] = []
        self.previews: list[torch.Tensor] = []
        self.saved: dict[str, Any] | None = None
        found = self.checkpoints.load()
        self.start(found["attempt"] if found else 0)
        if found:
            self.steps_done, self.rows, self.saved = found["step"], found["rows"], found["team"]
            self.previews = list(found["previews"])
            for name, value in found["monitor"].items():
                setattr(self.monitor, name, value)
            say(f"class {replica.name}: resuming from step {self.steps_done:,} of {replica.steps:,}")

    def start(self, attempt: int) -> None:
        """Start an attempt at step 0. Every attempt has its own seed."""
        replica = self.replica
        self.attempt, self.steps_done = attempt, 0
        self.seed = derive_seed(replica.seed, "restart", attempt) if attempt else replica.seed
        self.previews = []
        saturates = registry.load(replica.family_name).objective(replica.family).saturates
        self.monitor = health.Monitor(self.real_spacing, saturates)

    @property
    def image_bytes(self) -> int:
        return len(self.replica.rows) * int(np.prod(self.images.shape))

    def build(self, *, resident: bool) -> None:
        """Build networks and optimizers, with the saved state if there is one."""
        replica, self.device = self.replica, self.setup.device
        self.learner = self.setup.learner_class(
            replica.family_name,
            replica.family,
            replica.training,
            self.images.shape,
            labels=replica.label_length,
            seed=self.seed,
            mirrored=bool(np.any(replica.mirrored)),
            device=self.device,
            bf16=self.setup.bf16,
        )
        if self.saved:
            self.learner.load(self.saved)
            self.saved = None
        sampler = Sampler(len(replica.rows), replica.images_per_step, self.seed)
        self.reader = BatchReader(
            self.images,
            replica.rows,
            lambda step: self.learner.shard(sampler(step)),
            self.device,
            resident=resident,
        )
        self.labels = ReplicaLabels(replica, self.device)
        self.timed_from, self.timed_step = time.perf_counter(), self.steps_done

    def leave(self) -> None:
        """Release what `build` has built."""
        self.reader.close()
        del self.learner, self.reader, self.labels

    def prepare(self) -> None:
        """Host: write what the next step needs."""
        replica, training, step = self.replica, self.replica.training, self.steps_done
        factor = learning_rate_factor(training.learning_rate_decay, step / replica.steps)
        images_seen = (step + 1) * replica.images_per_step
        weight = ema_weight(training.ema_half_life, replica.images_per_step, images_seen)
        self.reader.prepare(step)
        self.learner.prepare(step, factor, weight)

    def step(self) -> None:
        """Device: train for one step."""
        self.learner.step(Batch(self.reader.read(), *self.labels.take(self.reader.indices.values)))

    def state(self) -> dict[str, Any]:
        return self.learner.state()

    def save(self) -> None:
        if self.checkpoints.folder is None:
            return
        previews = torch.stack(self.previews) if self.previews else torch.zeros(0, dtype=torch.uint8)
        state = {
            "rows": self.rows,
            "previews": previews,
            "monitor": asdict(self.monitor),
            "team": self.learner.state(),
        }
        self.checkpoints.save(self.attempt, self.steps_done, state)

    def end_of_epoch(self) -> dict[str, Any]:
        """Draw the previews and evaluate the replica's health. Returns: the row of the epoch."""
        device = self.device
        network = self.learner.published(self._inputs("statistics", _EPOCH_STATISTICS_BATCHES))
        replica, training = self.replica, self.replica.training
        stream = Stream(derive_seed(self.seed, "preview"), device)
        latents = draw_latents(max(health.DIVERSITY_IMAGES, training.preview_images), replica.family, stream)
        fixed, labels = (
            latents[: training.preview_images],
            torch.from_numpy(replica.preview_labels).to(device),
        )
        with torch.no_grad():
            images = to_uint8(network(latents, self._labels(len(latents), stream))[0])
            sheet = torch.stack(
                [to_uint8(network(fixed, label.expand(len(fixed), -1))[0]) for label in labels]
            )
        self.previews.append(sheet.cpu().contiguous())

        means = dict(zip(TRACKED, self.learner.means(replica.steps_per_epoch)))
        diversity, status = self.monitor.evaluate(
            means,
            images[: health.DIVERSITY_IMAGES],
            self.steps_done / replica.steps,
            finite=self.learner.is_finite(),
        )
        now = time.perf_counter()
        images_per_second = (
            (self.steps_done - self.timed_step) * replica.images_per_step / (now - self.timed_from)
        )
        self.timed_from, self.timed_step = now, self.steps_done
        row = {
            "attempt": self.attempt,
            "epoch": self.steps_done // replica.steps_per_epoch,
            "images_seen": self.steps_done * replica.images_per_step,
            **means,
            "diversity": diversity,
            "health": status,
            "images_per_second": images_per_second,
        }
        self.rows.append(row)
        return row

    def must_restart(self) -> bool:
        """Whether to restart with another seed, judging by the last epoch.

        Raises: DivergedError when losses or weights are not finite and no restart is left.
        """
        if not self.monitor.failed:
            return False
        replica, status, seen = self.replica, self.monitor.status, self.rows[-1]["images_seen"]
        if self.attempt < replica.training.restarts:
            say(f"class {replica.name}: {status} after {seen:,} images; restarting with another seed")
            return True
        if status == health.NOT_FINITE:
            raise self._diverged("losses or weights")
        return False

    def _diverged(self, what: str) -> DivergedError:
        replica, seen = self.replica, self.steps_done * self.replica.images_per_step
        return DivergedError(
            f"class {replica.name}: {what} are no longer finite after {seen:,} images (step "
            f"{self.steps_done:,}); lower the learning rates in families.{replica.family_name}"
        )

    def finish(self) -> Trained:
        """The result. Raises: DivergedError if the published weights are not finite."""
        weights = _arrays(self.learner.published(self._inputs("statistics", _STATISTICS_BATCHES)))
        if not are_finite(weights):
            raise self._diverged("the weights")
        return Trained(
            self.replica.name,
            weights,
            torch.stack(self.previews).numpy(),
            self.rows,
            _arrays(self.learner.trained_discriminator()),
        )

    def _labels(self, count: int, stream: Stream) -> torch.Tensor:
        """Labels of real images, drawn with replacement, float (count, K)."""
        replica = self.replica
        if replica.labels is None:
            return torch.zeros(count, 0, device=stream.device)
        chosen = stream.integers(0, len(replica.labels) - 1, count).cpu().numpy()
        return encode(torch.from_numpy(replica.labels[chosen]).to(stream.device), replica.label_length)

    def _inputs(self, purpose: str, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """`count` batches of latents and labels."""
        stream, replica = Stream(derive_seed(self.seed, purpose), self.device), self.replica
        size = replica.training.batch_size
        return [
            (draw_latents(size, replica.family, stream), self._labels(size, stream)) for _ in range(count)
        ]


def _arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {
        name: value.float().cpu().contiguous().numpy()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def _real_spacing(images: Images, replica: Replica) -> float:
    count = min(health.DIVERSITY_IMAGES, len(replica.rows))
    rows = replica.rows[np.linspace(0, len(replica.rows) - 1, count).astype(int)]
    return health.spacing(torch.from_numpy(images.take(rows))) if len(rows) > 1 else 0.0
