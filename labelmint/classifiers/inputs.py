"""The images, and the classifier of the real ones, that image sources draw on.

Settings import this module by `sources`, so it imports neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Module

    from labelmint.classifiers.pools import Pool, Sampler


@dataclass(frozen=True)
class Inputs:
    """What sources take their images from.

    real: the real images that the arm's generator had. seed: of the replicate. real_fraction: of each batch
    of mixed.
    generated: the synthetic images of the arm, and a sampler of more; None for a baseline.
    filter: takes both and chooses images by the arm's baseline; None for a baseline.
    teacher: loads the network of the arm's baseline; None for a baseline.
    part: the real images of another percent and the same seed; None for an arm.
    """

    real: Pool
    seed: int
    real_fraction: float
    generated: tuple[Pool, Sampler] | None = None
    filter: Callable[[Pool, Sampler], Pool] | None = None
    teacher: Callable[[], Module] | None = None
    part: Callable[[int], Pool] | None = None

    @property
    def synthetic(self) -> Pool:
        """Raises: ValueError for a baseline."""
        return self._generated()[0]

    @property
    def sampler(self) -> Sampler:
        """Raises: ValueError for a baseline."""
        return self._generated()[1]

    @property
    def baseline(self) -> Callable[[], Module]:
        """Loads the network to distil. Raises: ValueError for a baseline."""
        if self.teacher is None:
            raise ValueError("a baseline has no classifier to learn from")
        return self.teacher

    def part_of_real(self, percent: int) -> Pool:
        """`percent` % of all real images of each class. Raises: ValueError for an arm."""
        if self.part is None:
            raise ValueError("only a baseline has parts of all real images")
        return self.part(percent)

    @cached_property
    def filtered(self) -> Inputs:
        """The same with synthetic images that the baseline recognizes. Raises: ValueError for a baseline."""
        if self.filter is None:
            raise ValueError("a baseline has no classifier to filter synthetic images by")
        return replace(self, generated=(self.filter(*self._generated()), self.sampler))

    def _generated(self) -> tuple[Pool, Sampler]:
        if self.generated is None:
            raise ValueError("a baseline has no synthetic images")
        return self.generated
