"""Replicates with known mean accuracy on the same test images, summed up without drawing every image."""

from __future__ import annotations

import numpy as np

from labelmint.metrics.replicated import Replicated

SHARED = 0.3
"""Fraction of test images that are equally hard for all replicates; the others are wrong independently."""


def accuracies(
    draws: int, *, runs: int, images: int, accuracy: float, deviation: float, seed: int = 0
) -> Replicated:
    """`draws` experiments of `runs` replicates whose accuracies are normal with this mean and deviation."""
    rng = np.random.default_rng(seed)
    of_runs = rng.normal(accuracy, deviation, (draws, runs)).clip(0, 1)
    hard = rng.binomial(images, SHARED, draws)
    patterns = np.arange(2**runs)[:, None] >> np.arange(runs) & 1
    chances = np.where(patterns, of_runs[:, None], 1 - of_runs[:, None]).prod(-1)
    counts = rng.multinomial(images - hard, chances / chances.sum(1, keepdims=True))
    correct, squares = counts @ patterns, counts @ patterns.sum(1) ** 2
    # A hard image is recognised by the runs whose accuracy is above its own threshold: the best k of them.
    order = np.argsort(-of_runs, axis=1)
    ends = np.concatenate([np.take_along_axis(of_runs, order, 1), np.zeros((draws, 1))], 1)
    by_count = rng.multinomial(hard, -np.diff(ends, axis=1, prepend=1.0))
    squares = squares + by_count @ np.arange(runs + 1) ** 2
    of_rank = by_count[:, ::-1].cumsum(1)[:, -2::-1]
    correct = correct + np.take_along_axis(of_rank, np.argsort(order, axis=1), 1)
    means = correct / images
    between = (squares / runs**2 - images * means.mean(1) ** 2) / (images - 1)
    within = (means * (1 - means)).mean(1) * images / (images - 1)
    return Replicated(images, means, within, between)
