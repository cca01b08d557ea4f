"""A replica: one generator trained against one discriminator, on the images of one class or of all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.gans.conditioning import encode
from labelmint.gans.settings import Family
from labelmint.runtime.settings import flat
from labelmint.training.settings import Training


@dataclass(frozen=True)
class Replica:
    """Input of one training run.

    name: name of its class. rows: int64 (n,), indices of its images. seed: all randomness derives from it.
    mirrored: bool (n,), or one for all: whether a mirrored image keeps its label, so that it may be flipped.
    labels: int64 (n,) of classes or multi-hot (n, K), the conditioning; None: unconditional.
    label_length: K, or 0 without labels. preview_labels: float32 (V, K); each has one row in the previews.
    checkpoints: folder for checkpoints, or None for none. data: identifies the images in checkpoints.
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
    preview_labels: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), np.float32))
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
        """Everything that the weights depend on; see checkpoints.Identity."""
        settings = {
            "generator": self.family_name,
            "family": asdict(self.family),
            "training": asdict(self.training),
        }
        return {
            **flat(settings),
            "class": self.name,
            "images": len(self.rows),
            "seed": self.seed,
            "data": self.data,
        }


@dataclass
class Trained:
    """Output of one training run.

    weights: of the published generator in evaluation mode. discriminator: final weights, not averaged.
    previews: uint8 (epochs, V, k, C, S, S) from k fixed latents, one row for each preview label.
    epochs: one row per epoch: attempt, epoch, images_seen, the TRACKED means, diversity, health,
    images_per_second. The rows of failed attempts are included.
    """

    name: str
    weights: dict[str, np.ndarray]
    previews: np.ndarray
    epochs: list[dict[str, Any]]
    discriminator: dict[str, np.ndarray]


class ReplicaLabels:
    """Labels of a replica's images, and whether each image may be flipped, on the device."""

    def __init__(self, replica: Replica, device: torch.device):
        self.length = replica.label_length
        flips = np.broadcast_to(replica.mirrored, len(replica.rows))
        self.mirrored = torch.from_numpy(flips.copy()).to(device)
        self.labels = None if replica.labels is None else torch.from_numpy(replica.labels).to(device)

    def take(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels, float (N, K), and permissions to flip, bool (N,), of the images at `indices`."""
        mirrored = self.mirrored[indices]
        if self.labels is None:
            return torch.zeros(len(indices), 0, device=indices.device), mirrored
        return encode(self.labels[indices], self.length), mirrored
