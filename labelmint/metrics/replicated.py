"""Means over replicates that share their test images, with 95 % intervals: a two-way model.

The score of replicate r on test image j is

    y_rj = mean + run_r + image_j + rest_rj,

all independent of one another, where replicates draw their own subset, generator and classifier, and all are
tested on the same N images (a random-effects two-way layout without repetition: Searle, Casella and McCulloch
1992, chapter 4). The variance of the mean over R replicates is

    V = runs + shared,   runs = (var(run) + var(rest) / N) / R,   shared = var(image) / N.

`runs` is estimated by the variance of the replicates' means over R, which has R - 1 degrees of freedom: the
private test noise of a replicate is part of it and shrinks with R. `shared` is the mean covariance of two
replicates over the images, over N. The half-width is sqrt(V) times the mean of the quantiles of Student's t
with R - 1 degrees of freedom and of the normal distribution, weighted by `runs` and `shared` (Cochran and Cox
1957, section 4.14). Subtracting the private noise from `runs`, or Satterthwaite's degrees of freedom, covers
less than 90 % with two or three replicates.

The interval is that over test images alone, which keeps its asymmetry near 0 and 1, stretched on both sides
by the ratio of both half-widths. With one replicate it is the interval over test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from labelmint.metrics.intervals import Interval, wilson

_LEAST_P, _MOST_P = 1e-12, 0.999
_PSEUDO = 1.0
"""Wrong images that all replicates share, added to those observed: of few errors, none may be by chance."""
_LEAST_RATIO = 0.7
"""Lower limit of the ratio of both half-widths, since few replicates can agree by chance."""
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Replicated:
    """Scores of R replicates on the same N test images, summed up; arrays may have leading axes.

    images: N. means: float64 (..., R), mean score of each replicate. within: (...), variance of a replicate's
    scores over images, mean over replicates. between_images: (...), variance over images of the mean over
    replicates.
    """

    images: int
    means: np.ndarray
    within: np.ndarray
    between_images: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> Replicated:
        """scores: (..., R, N), for each replicate and test image."""
        images = scores.shape[-1]
        freedom = min(1, images - 1)
        within = scores.var(-1, ddof=freedom).mean(-1)
        return cls(images, scores.mean(-1), within, scores.mean(-2).var(-1, ddof=freedom))

    @property
    def count(self) -> int:
        """Number of replicates."""
        return int(self.means.shape[-1])

    @cached_property
    def mean(self) -> Any:
        return self.means.mean(-1)

    @property
    def covariance(self) -> Any:
        """Mean covariance of two replicates over the images; of two or more replicates."""
        return (self.count * self.between_images - self.within) / (self.count - 1)

    @property
    def run_variance(self) -> Any:
        """Variance of the mean score between runs, beyond the choice of test images; at least 0."""
        private = (self.within - self.covariance) / self.images
        return np.maximum(0.0, self.means.var(-1, ddof=1) - private)

    def proportion(self, predictions: int = 1) -> tuple[Any, Any, Any]:
        """(mean, low, high) of scores from 0 to 1, within [0, 1].

        Over test images it is Wilson's interval with an effective count: that of independent predictions with
        the variance observed between images (Korn and Graubard 1998).
        predictions: for each image, of which a score is the fraction that is correct.
        """
        effective = self._effective(self.mean * (1 - self.mean), predictions)
        low, high = wilson(self.mean * effective, effective)
        low, high = self._stretched(low, high, 0.05)
        return self.mean, np.maximum(0.0, low), np.minimum(1.0, high)

    def difference(self, level: float = 0.05) -> tuple[Any, Any, Any]:
        """(mean, low, high) of scores from -1 to 1, changes between paired predictions. level: 1 - coverage.

        Half an observation is added to each outcome of a pair (Agresti and Min 2005), so that two classifiers
        that never differ do not appear to be certainly equal.
        """
        from scipy.special import ndtri

        squares = self.within * (1 - 1 / self.images) + (self.means**2).mean(-1)
        effective = self._effective(squares - self.mean**2)
        pairs = effective + 2
        centre = effective * self.mean / pairs
        spread = (effective * squares + 1) / pairs - centre**2
        half = -ndtri(level / 2) * np.sqrt(np.maximum(0.0, spread) / pairs)
        low, high = self._stretched(centre - half, centre + half, level)
        return self.mean, np.maximum(-1.0, low), np.minimum(1.0, high)

    def p_value(self) -> float:
        """The smallest level at which the interval of a difference excludes 0; of two or more replicates."""
        from scipy.optimize import brentq

        def distance(exponent: float) -> float:
            """Of the interval's nearer end from 0; negative where it contains 0."""
            _, low, high = self.difference(10**exponent)
            return float(max(low, -high))

        least, most = np.log10((_LEAST_P, _MOST_P))
        if distance(most) <= 0:
            return 1.0
        if distance(least) > 0:
            return _LEAST_P
        return float(10 ** brentq(distance, least, most))

    def _effective(self, variance: Any, predictions: int = 1) -> Any:
        """Independent predictions that would have the observed variance between images.

        At least N, and at most N x R x predictions. variance: of one prediction.
        """
        most = self.images * self.count * predictions
        single, observed = (self.images * each + _PSEUDO for each in (variance, self.between_images))
        return np.clip(self.images * single / observed, self.images, most)

    def _stretched(self, low: Any, high: Any, level: float) -> tuple[Any, Any]:
        """An interval over test images, widened to one over replicates and test images."""
        if self.count == 1:
            return low, high
        from scipy.special import ndtri, stdtrit

        shared = np.maximum(0.0, self.covariance) / self.images
        runs = self.means.var(-1, ddof=1) / self.count
        normal, student = -ndtri(level / 2), -stdtrit(self.count - 1, level / 2)
        of_images = normal * np.sqrt(self.between_images / self.images)
        half = (normal * shared + student * runs) / np.sqrt(np.maximum(shared + runs, _TINY))
        ratio = np.maximum(_LEAST_RATIO, half / np.maximum(of_images, _TINY))
        return self.mean - ratio * (self.mean - low), self.mean + ratio * (high - self.mean)


def paired_difference(correct: np.ndarray, reference: np.ndarray) -> Interval:
    """Mean of correct - reference with its interval over test images.

    correct, reference: (N,), by test image whether it is classified correctly, or the fraction of its
    attributes that are. Most images get the same answer from both classifiers, so pairing narrows the
    interval.
    """
    value, low, high = Replicated.of((correct.astype(np.float64) - reference)[None]).difference()
    return float(value), float(low), float(high)
