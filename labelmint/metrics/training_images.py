"""The images that a generator was trained on: as they are, and mirrored where training may mirror them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelmint.metrics.nearest import flatten, nearest
from labelmint.metrics.sampling_order import digests

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TrainingImages:
    """What a generator was shown: images, uint8 (N, C, S, S), followed by the mirror images of some of them.

    flipped: int64 (M,), indices of the mirrored ones. An index below N means an image as it is, one from N to
    N + M a mirror image.
    """

    images: np.ndarray
    flipped: np.ndarray

    @property
    def _to_flip(self) -> np.ndarray:
        return self.images if len(self.flipped) == len(self.images) else self.images[self.flipped]

    def points(self, plain: np.ndarray, features: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Features of all, (N + M, d). plain: of the images as they are. features: computes them."""
        if not len(self.flipped):
            return plain
        return np.concatenate([plain, features(self._to_flip[..., ::-1])])

    @property
    def digests(self) -> set[bytes]:
        known = set(digests(self.images))
        return known.union(digests(self._to_flip[..., ::-1])) if len(self.flipped) else known

    @property
    def mirror_images(self) -> np.ndarray:
        """Index of the mirror image of each: int64 (N + M,), -1 for none."""
        indices = np.full(len(self.images) + len(self.flipped), -1)
        indices[self.flipped] = np.arange(len(self.images), len(indices))
        indices[len(self.images) :] = self.flipped
        return indices

    def origin(self, index: int) -> tuple[int, bool]:
        """(index of the image as it is, whether `index` means its mirror image)."""
        count = len(self.images)
        return (index, False) if index < count else (int(self.flipped[index - count]), True)

    def nearest_in_pixels(
        self, images: np.ndarray, device: torch.device | str = "cpu"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance from each image, uint8 (n, C, S, S), to the nearest one shown, and its index.

        The distance from x to the mirror image of y is that from the mirror image of x to y, so the fewer
        images are mirrored.
        """
        distances, indices = nearest(flatten(images), flatten(self.images), device)
        if not len(self.flipped):
            return distances, indices
        mirrored, which = nearest(flatten(images[..., ::-1]), flatten(self._to_flip), device)
        closer = mirrored < distances
        return np.where(closer, mirrored, distances), np.where(closer, len(self.images) + which, indices)
