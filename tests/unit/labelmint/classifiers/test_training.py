"""The plan of one classifier per source, and its simple classifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.settings import NO_AUGMENTATION, Classifier
from labelmint.classifiers.sources import SOURCES, baseline_sources
from labelmint.classifiers.training import plan, train
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import NullTracker

RECIPE = Classifier(network="small_cnn", steps=4, evaluations=2, batch_size=8)


def make_plan(pool, names, recipe=RECIPE):
    sources = baseline_sources(names)
    classes, mirror = [str(digit) for digit in range(10)], [False] * 10
    inputs = Inputs(pool, 0, recipe.real_fraction)
    return plan(sources, inputs, recipe, classes=classes, mirror=mirror, raw=Path("raw"))


def test_every_source_has_the_same_seed_and_recipe(pool):
    jobs = make_plan(pool, ["real", "real_shuffled", "real_blurred"])
    assert [job.name for job in jobs] == ["real", "real_shuffled", "real_blurred"]
    assert len({job.seed for job in jobs}) == 1
    assert {str(job.params) for job in jobs} == {str(RECIPE)}
    assert [job.view for job in jobs] == [None, None, "blurred"]


def test_a_source_may_have_its_own_augmentation(pool):
    augmented, rotated, plain = make_plan(pool, ["real_augmented", "real_rotated", "real_unaugmented"])
    assert augmented.params.augmentation == replace(NO_AUGMENTATION, rotation=30.0, shift=0.1)
    assert rotated.params.augmentation == replace(NO_AUGMENTATION, rotation=30.0)
    assert plain.params.augmentation == NO_AUGMENTATION


def test_distilled_sources_learn_from_the_baseline(pool):
    """The others, and the simple classifiers of all, learn labels."""
    recipe = replace(RECIPE, simple_classifiers=["linear"])
    inputs = Inputs(pool, 0, recipe.real_fraction, teacher=torch.nn.Identity)
    sources = [SOURCES["real"], SOURCES["real_distilled"]]
    jobs = plan(sources, inputs, recipe, classes=list("0123456789"), mirror=[False] * 10, raw=Path("raw"))
    assert [job.teacher for job in jobs] == [None, torch.nn.Identity, None, None]


def test_simple_classifiers_come_last_with_the_augmentation_of_their_source(pool):
    recipe = replace(RECIPE, simple_classifiers=["linear", "nearest_neighbour"])
    jobs = make_plan(pool, ["real", "real_unaugmented"], recipe)
    assert [job.name for job in jobs] == [
        "real",
        "real_unaugmented",
        "real-linear",
        "real_unaugmented-linear",
    ]
    linear = jobs[3]
    assert (linear.simple, linear.params.network) == (True, "linear")
    assert linear.params.augmentation == NO_AUGMENTATION


def test_a_linear_recipe_has_no_second_linear_classifier(pool):
    recipe = replace(RECIPE, network="linear", simple_classifiers=["linear"])
    assert [job.name for job in make_plan(pool, ["real"], recipe)] == ["real"]


def test_training_writes_all_classifiers_and_logs_their_evaluations(pool, tmp_path):
    logged = {}

    class Recorder(NullTracker):
        def log_metrics(self, metrics, step=0):
            logged.update({(name, step): value for name, value in metrics.items()})

    jobs = make_plan(pool, ["real", "real_shuffled"])
    seconds = train(jobs, tmp_path, "real-100-0", Compute(device="cpu", workers=1), Recorder())
    assert list(seconds) == ["real", "real_shuffled"]
    assert 0 < seconds["real"] <= seconds["real_shuffled"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("classifiers.json", "training.csv", "pools", "real.safetensors", "real_shuffled.safetensors")
    }
    assert ("holdout_accuracy/real_shuffled", 4) in logged
    assert len(logged) == 2 * 2 * 3  # two sources, two evaluations, three numbers


def test_without_jobs_the_lists_are_empty(tmp_path):
    assert train([], tmp_path, "dcgan-100-0", Compute(device="cpu", workers=1), NullTracker()) == {}
    assert (tmp_path / "classifiers.json").read_text().strip() == "{}"


def test_every_source_of_real_images_is_planned(pool):
    names = [name for name, source in SOURCES.items() if source.of_baseline]
    assert [job.name for job in make_plan(pool, names)] == names
