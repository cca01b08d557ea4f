"""Training at the edges of its settings, from the smallest that they allow."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmint.classifiers import feature_learner
from labelmint.classifiers.fit import fit
from labelmint.classifiers.job import Job
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import NO_AUGMENTATION, Classifier, FeatureNetwork
from labelmint.runtime.errors import DivergedError, InputError
from labelmint.training.engine.optimizers import OneCycle
from tests.conftest import CPU


def images(classes: int, per_class: int) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (classes * per_class, 1, 8, 8), dtype=np.uint8)
    return pixels, np.repeat(np.arange(classes), per_class)


@given(
    steps=st.integers(1, 12),
    epochs=st.none() | st.integers(1, 2),
    batch=st.integers(2, 40),
    holdout=st.integers(1, 90),
    wanted=st.integers(1, 12),
    classes=st.integers(2, 4),
    per_class=st.integers(2, 9),
    schedule=st.sampled_from(["one_cycle", "constant"]),
)
@settings(max_examples=40, deadline=None)
def test_classifier(*, steps, epochs, batch, holdout, wanted, classes, per_class, schedule):
    recipe = Classifier(
        network="linear",
        steps=steps,
        epochs=epochs,
        batch_size=batch,
        holdout_percent=holdout,
        holdout_max_images=10,
        evaluations=min(wanted, steps),
        learning_rate_schedule=schedule,
        augmentation=NO_AUGMENTATION,
    )
    job = Job("real", [Pool.real(*images(classes, per_class), 100, 0)], classes, recipe, 0, Path("raw"))
    fitted = fit(job, CPU)
    marks = [row["step"] for row in fitted.evaluations]
    assert marks[-1] == job.steps
    assert marks == sorted(set(marks))
    assert len(marks) == min(recipe.evaluations, job.steps)
    assert classes <= fitted.held_out < classes * per_class
    assert all(math.isfinite(value) for row in fitted.evaluations for value in row.values())


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_feature_network(steps):
    trained = feature_learner.train(
        FeatureNetwork(features=2, steps=steps, batch_size=2), *images(2, 2), [False] * 2
    )
    assert trained.scale > 0


@pytest.mark.parametrize("rising", [0.2, 0.3])
@given(steps=st.integers(1, 300))
def test_rates_of_one_cycle_are_between_their_limits(rising, steps):
    rates = [OneCycle.of_rate(1.0, rising).at(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[-1] == pytest.approx(4e-6)


@pytest.mark.parametrize("rate", [1e12, 1e30])
def test_diverged_classifier_names_step_and_setting(make_job, rate):
    with pytest.raises(
        DivergedError, match=r"classifier real: .* step \d of 6; lower classifier.learning_rate"
    ):
        fit(make_job(learning_rate=rate, optimizer="sgd"), CPU)


def test_diverged_feature_network_names_step_and_setting(digits):
    recipe = FeatureNetwork(features=8, steps=5, batch_size=16, learning_rate=1e30)
    with pytest.raises(DivergedError, match="after step 5; lower feature_network.learning_rate"):
        feature_learner.train(recipe, digits[0], digits[1], [False] * 10)


def test_one_image_a_class_is_too_few_and_said(make_job, pool):
    job = make_job()
    with pytest.raises(InputError, match="classifier real: one image a class is too few to train on"):
        fit(replace(job, pools=[pool.first_per_label(1, 0)]), CPU)
    assert fit(replace(job, pools=[pool.first_per_label(2, 0)]), CPU).held_out == 10
