"""Health of a replica, evaluated after each epoch from the tracked numbers and images of fixed latents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from labelmint.gans.settings import COLLAPSED_BELOW

OK, NOT_FINITE, COLLAPSED, SATURATED, VANISHING = (
    "ok",
    "not finite",
    "collapsed",
    "saturated",
    "vanishing gradient",
)

DIVERSITY_IMAGES = 64
"""Number of real and of generated images that diversity is measured on."""

_THUMBNAIL = 8
_SATURATED_ACCURACY = 0.995
_VANISHING_RATIO = 1e-3
_PATIENCE_EPOCHS = 3
_WARM_UP_PROGRESS = 0.25


@torch.no_grad()
def spacing(images: torch.Tensor) -> float:
    """Median distance of an image to its nearest neighbour.

    The distance is the root mean square of the grey level differences of 8 x 8 thumbnails.
    images: uint8 (N, C, S, S), N >= 2. Near-copies of a few images have the same spacing as copies of one.
    """
    thumbnails = F.adaptive_avg_pool2d(images.float(), min(_THUMBNAIL, images.shape[-1])).flatten(1)
    distances = torch.cdist(thumbnails, thumbnails, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    return float(distances.min(1).values.median()) / math.sqrt(thumbnails.shape[1])


@dataclass
class Monitor:
    """Health of one attempt.

    real_spacing: spacing of real images of the class.
    saturates: whether a D that is always right counts as unhealthy.
    unhealthy_epochs: number of unhealthy epochs in a row, after the warm-up.
    """

    real_spacing: float
    saturates: bool = True
    largest_gradient: float = 0.0
    unhealthy_epochs: int = 0
    status: str = OK

    def evaluate(
        self, row: dict[str, float], images: torch.Tensor, progress: float, finite: bool = True
    ) -> tuple[float, str]:
        """Diversity and health status of an epoch.

        row: the TRACKED means. images: uint8, from fixed latents. progress: of the training, 0 to 1.
        finite: whether all weights are finite.
        Diversity is the spacing of generated images over that of real ones, near 1 where both vary equally.
        """
        diversity = spacing(images) / max(self.real_spacing, 1e-6)
        self.status = self._status(row, diversity) if finite else NOT_FINITE
        if self.status != NOT_FINITE:
            self.largest_gradient = max(self.largest_gradient, row["g_gradient"])
        warm = progress > _WARM_UP_PROGRESS  # an untrained generator draws the same image for every latent
        self.unhealthy_epochs = self.unhealthy_epochs + 1 if warm and self.status != OK else 0
        return diversity, self.status

    def _status(self, row: dict[str, float], diversity: float) -> str:
        if not all(math.isfinite(value) for value in row.values()):
            return NOT_FINITE
        if diversity < COLLAPSED_BELOW:
            return COLLAPSED
        if self.saturates and min(row["d_acc_real"], row["d_acc_fake"]) > _SATURATED_ACCURACY:
            return SATURATED
        if row["g_gradient"] < _VANISHING_RATIO * self.largest_gradient:
            return VANISHING
        return OK

    @property
    def failed(self) -> bool:
        """Whether a restart with another seed is more promising than more steps."""
        return self.status == NOT_FINITE or self.unhealthy_epochs >= _PATIENCE_EPOCHS
