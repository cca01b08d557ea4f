"""Tests that synthetic images are new: p values that are right whatever the images are.

Given the training images, new images and test images come from the same distribution, so that every choice of
which of them are "synthetic" is equally likely. A p value is the probability of a value at least as far
towards copying; below `LEVEL`, copying is indicated, in 1 of 100 sets of new images by chance.
"""

from __future__ import annotations

import numpy as np

LEVEL = 0.01


def near_p_value(near: int, synthetic: int, rank: int, test: int) -> float:
    """P(at least `near` of the synthetic images are below the test images' distance of this rank).

    rank: from 1, the smallest. The first near + rank - 1 distances of both sets hold fewer than `rank` of
    test images exactly then.
    """
    return hypergeometric(rank - 1, test, synthetic, near + rank - 1)


def fewer_p_value(count: int, size: int, other: int, other_size: int) -> float:
    """P(at most `count` of `size` images have a property), as many of both sets having it (Fisher 1935)."""
    having = count + other
    return hypergeometric(count, having, size + other_size - having, size)


def z_p_value(z: float) -> float:
    """P(at most z), of a standard normal statistic."""
    from scipy.special import ndtr

    return float(ndtr(z))


def hypergeometric(most: int, marked: int, unmarked: int, drawn: int) -> float:
    """P(at most `most` of `drawn` are marked). scipy.stats, which has this too, takes 1.5 s to import."""
    from scipy.special import gammaln, logsumexp

    def log_choose(count: int, chosen: np.ndarray | int) -> np.ndarray:
        log: np.ndarray = (
            gammaln(count + 1) - gammaln(np.add(chosen, 1)) - gammaln(np.subtract(count + 1, chosen))
        )
        return log

    counts = np.arange(max(0, drawn - unmarked), min(most, marked, drawn) + 1)
    if not len(counts):
        return 0.0
    logs = log_choose(marked, counts) + log_choose(unmarked, drawn - counts)
    return float(min(1.0, np.exp(logsumexp(logs) - log_choose(marked + unmarked, drawn))))
