"""Is a replica well? Judged at every look (once an epoch), from what is tracked and from images of fixed latents."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from labelmint.gans.settings import COLLAPSED_BELOW

OK, NOT_FINITE, COLLAPSED, SATURATED, VANISHING = "ok", "not finite", "collapsed", "saturated", "vanishing gradient"

LOOKED_AT = 64
"""Images of each kind that diversity is measured on."""

_THUMBNAIL = 8
_ALWAYS_RIGHT = 0.995
_VANISHED = 1e-3
_PATIENCE = 3
_GROWING_UP = 0.25


@torch.no_grad()
def spacing(images: torch.Tensor) -> float:
    """Median distance of an image to the nearest other one, in grey levels (root mean square) of 8 x 8 thumbnails.

    images: uint8 (N, C, S, S), N >= 2. Many copies of a few images are as close as copies of one.
    """
    thumbnails = F.adaptive_avg_pool2d(images.float(), min(_THUMBNAIL, images.shape[-1])).flatten(1)
    distances = torch.cdist(thumbnails, thumbnails, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    return float(distances.min(1).values.median()) / math.sqrt(thumbnails.shape[1])


@dataclass
class Monitor:
    """real_spacing: of real images of the class. saturates: whether a D that is always right is an ailment.

    ailing: how many looks in a row were not OK.
    """

    real_spacing: float
    saturates: bool = True
    largest_gradient: float = 0.0
    ailing: int = 0
    last: str = field(default=OK)

    def look(self, row: dict[str, float], images: torch.Tensor, progress: float) -> tuple[float, str]:
        """(diversity, verdict). row: the TRACKED means. images: uint8, of fixed latents. progress: share of the training.

        Diversity is the spacing of minted images over that of real ones: near 1 where they differ as real ones do.
        """
        diversity = spacing(images) / max(self.real_spacing, 1e-6)
        if not all(math.isfinite(value) for value in row.values()):
            self.last = NOT_FINITE
        elif diversity < COLLAPSED_BELOW:
            self.last = COLLAPSED
        elif self.saturates and min(row["d_acc_real"], row["d_acc_fake"]) > _ALWAYS_RIGHT:
            self.last = SATURATED
        elif row["g_gradient"] < _VANISHED * self.largest_gradient:
            self.last = VANISHING
        else:
            self.last = OK
        self.largest_gradient = max(self.largest_gradient, row["g_gradient"] if self.last != NOT_FINITE else 0.0)
        begun = progress > _GROWING_UP  # an untrained generator makes one image only
        self.ailing = self.ailing + 1 if begun and self.last != OK else 0
        return diversity, self.last

    @property
    def failed(self) -> bool:
        """Whether a new seed would serve better than more steps."""
        return self.last == NOT_FINITE or self.ailing >= _PATIENCE
