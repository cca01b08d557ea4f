"""Worth in real images: known answers, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from labelmint.metrics.worth import LearningCurve, worth

SIZES = np.array([10, 20, 50, 100, 200, 500])
CHANCE = 0.1


def true_accuracy(images: int | np.ndarray) -> np.ndarray:
    accuracies: np.ndarray = 1 - (1 - CHANCE) * (1 + np.atleast_1d(images) / 6) ** -0.75
    return accuracies


def classified(
    rng: np.random.Generator, accuracies: np.ndarray, difficulty: np.ndarray, run_deviation: float, seeds: int
) -> np.ndarray:
    """Correct or not, float64 (P, seeds, N): classifiers agree on which images are difficult."""
    shape = len(accuracies), seeds
    spread = run_deviation * np.sqrt(accuracies * (1 - accuracies))[:, None]
    own = np.clip(accuracies[:, None] + rng.standard_normal(shape) * spread, 0.01, 0.999)
    noise = rng.standard_normal((*shape, len(difficulty)))
    correct: np.ndarray = np.sqrt(0.5) * (difficulty + noise) < norm.ppf(own)[..., None]
    return correct.astype(float)


def exact(accuracies: list[float], seeds: int = 2, images: int = 100) -> np.ndarray:
    """Results with just these accuracies, the same for every seed: float64 (P, seeds, images)."""
    counts = np.rint(np.array(accuracies) * images)
    rows = (np.arange(images) < counts[:, None]).astype(float)
    return np.repeat(rows[:, None], seeds, 1)


@pytest.fixture(scope="module")
def curve() -> LearningCurve:
    return LearningCurve(SIZES, exact([0.3, 0.4, 0.6, 0.7, 0.8, 0.9]), CHANCE)


@pytest.mark.parametrize(
    ("accuracy", "images"),
    [
        (0.6, 50),
        (0.9, 500),
        (0.05, 0),
        (0.1, 0),
        (0.2, 10),
        (0.3, 10),
        (0.97, 500),
        (0.65, np.sqrt(50 * 100)),
    ],
)
def test_value(curve, accuracy, images):
    found = worth(curve, exact([accuracy])[0])
    assert found.value == pytest.approx(images)
    assert found.low <= found.value <= found.high <= found.largest == 500
    assert found.smallest == 10


def test_level_stretch_gives_its_middle():
    curve = LearningCurve(np.array([4, 16, 64]), exact([0.5, 0.5, 0.9]), CHANCE)
    assert worth(curve, exact([0.5])[0]).value == pytest.approx(8)


def test_curve_that_falls_is_made_monotone():
    """0.6 and 0.4 become 0.5 and 0.5."""
    curve = LearningCurve(np.array([4, 16, 64]), exact([0.6, 0.4, 0.9]), CHANCE)
    assert worth(curve, exact([0.5])[0]).value == pytest.approx(8)
    assert worth(curve, exact([0.9])[0]).value == pytest.approx(64)


@pytest.mark.parametrize(("accuracy", "end"), [(0.5, 100), (0.995, 500)])
def test_beyond_an_end_of_the_curve_the_bound_is_that_end(accuracy, end):
    """Whatever the seeds say: no size beyond was tried, so no number between it and chance is known."""
    rng = np.random.default_rng(0)
    difficulty = rng.standard_normal(2000)
    sizes = SIZES[[3, 5]]
    curve = LearningCurve(sizes, classified(rng, true_accuracy(sizes), difficulty, 0.02, 3), CHANCE)
    found = worth(curve, classified(rng, np.array([accuracy]), difficulty, 0.02, 3)[0])
    assert (found.value, found.low, found.high) == (end, end, end)


def test_new_real_images_are_worth_their_number():
    rng = np.random.default_rng(0)
    difficulty = rng.standard_normal(2000)
    curve = LearningCurve(SIZES, classified(rng, true_accuracy(SIZES), difficulty, 0.02, 3), CHANCE)
    found = worth(curve, classified(rng, true_accuracy(80), difficulty, 0.02, 3)[0])
    assert found.low <= 80 <= found.high
    assert found.high < 1.5 * found.low


@pytest.mark.parametrize(("seeds", "run_deviation"), [(1, 0.0), (3, 0.0), (3, 0.03)])
def test_interval_covers(seeds, run_deviation, monkeypatch):
    """Nominal 95 %: of 60 intervals at least 51 cover with a probability of 0.999."""
    monkeypatch.setattr("labelmint.metrics.worth._RESAMPLES", 100)
    rng, covered = np.random.default_rng(1), 0
    sizes = SIZES[1::2]
    for _ in range(60):
        difficulty = rng.standard_normal(200)
        curve = LearningCurve(
            sizes, classified(rng, true_accuracy(sizes), difficulty, run_deviation, seeds), CHANCE
        )
        found = worth(curve, classified(rng, true_accuracy(70), difficulty, run_deviation, seeds)[0])
        covered += found.low <= 70 <= found.high
    assert covered >= 51


@pytest.mark.parametrize(
    ("sizes", "correct"),
    [([5], exact([0.5])), ([5, 5], exact([0.5, 0.6])), ([0, 5], exact([0.5, 0.6])), ([5, 9], exact([0.5]))],
)
def test_curve_that_cannot_be_inverted_is_refused(sizes, correct):
    with pytest.raises(ValueError, match=r"two sizes|ascend"):
        LearningCurve(np.array(sizes), correct, CHANCE)
