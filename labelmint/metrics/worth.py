"""What a set of training images is worth, in real images.

The learning curve of a classifier on real images, accuracy by number of images with equal steps, is inverted
at the accuracy that another set of training images gives: so many real images would have given it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelmint.metrics.replicated import Replicated

_RESAMPLES = 1000
_LEVEL = 95.0


@dataclass(frozen=True)
class LearningCurve:
    """Classifiers trained on real images.

    sizes: int64 (P,), numbers of real images, ascending. correct: float64 (P, R, N), by size, seed and test
    image: the fraction of the image's labels that are predicted correctly, 0 or 1 for classes. chance:
    accuracy without any image, that of the most frequent label.
    """

    sizes: np.ndarray
    correct: np.ndarray
    chance: float

    def __post_init__(self) -> None:
        points, seeds, images = self.correct.shape
        if points != len(self.sizes) or points < 2 or not seeds or not images:
            raise ValueError(f"a curve needs two sizes and more, got {self.correct.shape}")
        if (np.diff(self.sizes) <= 0).any() or self.sizes[0] < 1:
            raise ValueError(f"sizes must ascend from 1 or more, got {self.sizes.tolist()}")

    def inverse(self, curves: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
        """Number of images at which each curve reaches an accuracy: float64 (B,).

        curves: float64 (B, P), accuracies at `sizes`. accuracies: float64 (B,). Each curve is made
        monotone by least squares (isotonic regression) and joined by straight lines in log(images).
        Accuracies of chance and less give 0. Others below or above a curve give its smallest or largest size:
        nothing was measured beyond.
        """
        from scipy.optimize import isotonic_regression

        logarithms = np.log(self.sizes)
        found = np.empty(len(curves))
        for row, (curve, accuracy) in enumerate(zip(curves, accuracies, strict=True)):
            values = isotonic_regression(curve).x
            first, last = (
                np.searchsorted(values, accuracy, "left"),
                np.searchsorted(values, accuracy, "right"),
            )
            if last > first:  # on a level stretch any size gives this accuracy: its middle
                found[row] = (logarithms[first] + logarithms[last - 1]) / 2
            else:
                found[row] = np.interp(accuracy, values, logarithms)
        # The limits are exact: exp(log(x)) is not always x.
        images = np.clip(np.exp(found), self.sizes[0], self.sizes[-1])
        images[found == logarithms[0]], images[found == logarithms[-1]] = self.sizes[0], self.sizes[-1]
        return np.where(accuracies <= self.chance, 0.0, images)


@dataclass(frozen=True)
class Worth:
    """A number of real images with its 95 % interval.

    smallest, largest: sizes of the curve. Values at `smallest` mean that many or fewer, those at `largest`
    that many or more. 0: no better than chance.
    """

    value: float
    low: float
    high: float
    smallest: int
    largest: int


def worth(curve: LearningCurve, correct: np.ndarray, seed: int = 0) -> Worth:
    """Real images that would give the accuracy of a classifier trained on other images.

    correct: float64 (R, N), by seed and test image, as in the curve; the number of seeds may differ.
    seed: of the resampling.

    The interval is that of a bootstrap. It resamples the test images, which all classifiers share, and adds
    the variation between training runs: of the curve in proportion to a (1 - a) with one factor for all
    sizes, since few seeds say little about one size; of the other images by Student's t over their own
    seeds. With one seed it covers the choice of the test images only.
    """
    rng = np.random.default_rng(seed)
    per_image = np.concatenate([curve.correct.mean(1), correct.mean(0)[None]])
    means = per_image.mean(1)
    images = per_image.shape[1]
    drawn = np.stack(
        [
            per_image @ (np.bincount(rng.integers(0, images, images), minlength=images) / images)
            for _ in range(_RESAMPLES)
        ]
    )
    drawn[:, :-1] += rng.standard_normal((_RESAMPLES, len(curve.sizes))) * _curve_deviation(curve)
    if len(correct) > 1:
        deviation = np.sqrt(Replicated.of(correct).run_variance / len(correct))
        drawn[:, -1] += rng.standard_t(len(correct) - 1, _RESAMPLES) * deviation
    value = curve.inverse(means[None, :-1], means[-1:])[0]
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(curve.inverse(drawn[:, :-1], drawn[:, -1]), [tail, 100 - tail])
    smallest, largest = int(curve.sizes[0]), int(curve.sizes[-1])
    return Worth(float(value), float(min(low, value)), float(max(high, value)), smallest, largest)


def _curve_deviation(curve: LearningCurve) -> np.ndarray:
    """Standard deviation between training runs of each point of the curve, a mean over seeds: (P,)."""
    found = Replicated.of(curve.correct)
    spread = found.mean * (1 - found.mean)
    if found.count < 2 or not spread.sum():
        return np.zeros(len(spread))
    factor = found.run_variance.sum() / spread.sum()
    deviations: np.ndarray = np.sqrt(factor * spread / found.count)
    return deviations
