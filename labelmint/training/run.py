"""The run of one replica: its attempts, its checkpoints, and the evaluation at the end of each epoch."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.pixels import to_uint8
from labelmint.data.storage.splits import derive_seed
from labelmint.gans import registry
from labelmint.gans.conditioning import encode
from labelmint.gans.initialization import draw_latents
from labelmint.random_streams import Stream
from labelmint.runtime.progress import say
from labelmint.training import health
from labelmint.training.checkpoints import Checkpoints
from labelmint.training.images import Images, Sampler
from labelmint.training.replica import DivergedError, Replica, Trained
from labelmint.training.team import Single, Team
from labelmint.training.updates import TRACKED

_STATISTICS_BATCHES = 20
"""Batches for the batch-norm statistics of the published generator."""

_EPOCH_STATISTICS_BATCHES = 4
"""Batches for the statistics of the generator that is evaluated at the end of an epoch."""


class Run:
    """One replica in training. step: number of steps done in this attempt. rows: one per epoch so far.

    Resumes from the latest checkpoint if there is one.
    """

    def __init__(self, position: int, replica: Replica, images: Images):
        self.position, self.replica = position, replica
        self.checkpoints = Checkpoints(replica.checkpoints, replica.identity())
        self.real_spacing = _real_spacing(images, replica)
        self.rows: list[dict[str, Any]] = []
        self.previews: list[torch.Tensor] = []
        self.saved = self.checkpoints.load()
        self.start(self.saved["attempt"] if self.saved else 0)
        if self.saved:
            self.step, self.rows = self.saved["step"], self.saved["rows"]
            self.previews = list(self.saved["previews"])
            for name, value in self.saved["monitor"].items():
                setattr(self.monitor, name, value)
            say(f"class {replica.name}: resuming from step {self.step:,} of {replica.steps:,}")

    def start(self, attempt: int) -> None:
        """Start an attempt at step 0. Every attempt has its own seed."""
        replica = self.replica
        self.attempt, self.step = attempt, 0
        self.seed = derive_seed(replica.seed, "restart", attempt) if attempt else replica.seed
        self.previews = []
        saturates = registry.load(replica.family_name).objective(replica.family).saturates
        self.monitor = health.Monitor(self.real_spacing, saturates)
        self.sampler = Sampler(len(replica.rows), replica.images_per_step, self.seed)

    def build(self, shape: tuple[int, int, int], device: torch.device, replica_class: type[Single]) -> Single:
        """Networks and optimizers, with the state of the checkpoint that this run resumes from."""
        replica = self.replica
        single = replica_class(
            replica.family_name,
            replica.family,
            replica.training,
            shape,
            labels=replica.label_length,
            seed=self.seed,
            mirrored=bool(np.any(replica.mirrored)),
            device=device,
        )
        if self.saved:
            single.load(self.saved["team"])
            self.saved = None
        self.timed_from, self.timed_step = time.perf_counter(), self.step
        return single

    def save(self, team: Team, position: int) -> None:
        if self.checkpoints.folder is None:
            return
        previews = torch.stack(self.previews) if self.previews else torch.zeros(0, dtype=torch.uint8)
        state = {
            "rows": self.rows,
            "previews": previews,
            "monitor": asdict(self.monitor),
            "team": team.state(position),
        }
        self.checkpoints.save(self.attempt, self.step, state)

    def end_of_epoch(self, team: Team, position: int, device: torch.device) -> dict[str, Any]:
        """Draw the previews and evaluate the replica's health. Returns: the row of the epoch."""
        replica, training = self.replica, self.replica.training
        network = team.published(position, self._inputs("statistics", _EPOCH_STATISTICS_BATCHES, device))
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

        means = dict(zip(TRACKED, team.means(position, replica.steps_per_epoch)))
        diversity, status = self.monitor.evaluate(
            means, images[: health.DIVERSITY_IMAGES], self.step / replica.steps
        )
        now = time.perf_counter()
        images_per_second = (self.step - self.timed_step) * replica.images_per_step / (now - self.timed_from)
        self.timed_from, self.timed_step = now, self.step
        row = {
            "attempt": self.attempt,
            "epoch": self.step // replica.steps_per_epoch,
            "images_seen": self.step * replica.images_per_step,
            **means,
            "diversity": diversity,
            "health": status,
            "images_per_second": images_per_second,
        }
        self.rows.append(row)
        return row

    def must_restart(self) -> bool:
        """Whether to restart with another seed, judging by the last epoch.

        Raises: DivergedError when the losses are not finite and no restart is left.
        """
        if not self.monitor.failed:
            return False
        replica, status, seen = self.replica, self.rows[-1]["health"], self.rows[-1]["images_seen"]
        if self.attempt < replica.training.restarts:
            say(f"class {replica.name}: {status} after {seen:,} images; restarting with another seed")
            return True
        if status == health.NOT_FINITE:
            raise DivergedError(
                f"class {replica.name}: the losses are no longer finite after {seen} images; "
                f"lower the learning rates in families.{replica.family_name}"
            )
        return False

    def finish(self, team: Team, position: int, device: torch.device) -> Trained:
        network = team.published(position, self._inputs("statistics", _STATISTICS_BATCHES, device))
        return Trained(
            self.replica.name,
            _arrays(network),
            torch.stack(self.previews).numpy(),
            self.rows,
            _arrays(team.trained_discriminator(position)),
        )

    def _labels(self, count: int, stream: Stream) -> torch.Tensor:
        """Labels of real images, drawn with replacement, float (count, K)."""
        replica = self.replica
        if replica.labels is None:
            return torch.zeros(count, 0, device=stream.device)
        chosen = stream.integers(0, len(replica.labels) - 1, count).cpu().numpy()
        return encode(torch.from_numpy(replica.labels[chosen]).to(stream.device), replica.label_length)

    def _inputs(
        self, purpose: str, count: int, device: torch.device
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """`count` batches of latents and labels."""
        stream, replica = Stream(derive_seed(self.seed, purpose), device), self.replica
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
