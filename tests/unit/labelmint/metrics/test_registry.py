"""The registry: complete, in the order of results.csv, and extended by one decorated function."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.metrics import registry
from labelmint.metrics.inputs import Setup
from labelmint.metrics.registry import Metric
from labelmint.metrics.settings import Metrics
from tests.unit.labelmint.metrics.conftest import compare, images

FACTS = {
    *(
        "dataset",
        "generator",
        "percent",
        "seed",
        "source",
        "split",
        "n_real",
        "n_synthetic",
        "steps",
        "seconds",
    )
}
"""Columns of results.csv that are not metrics."""
DATASET = {"labels": "classes", "classes": ["a", "b"], "n_test": 60, "n_train": 40, "mirror": [False]}
SENTENCE = "difference of mean grey levels; all images"
SETUP = Setup(DATASET, Metrics(), "0" * 64, 8, 30)


@pytest.fixture
def brightness(monkeypatch):
    """A metric that a user adds."""
    registry.metrics()  # the project's own are registered first
    monkeypatch.setattr(registry, "_metrics", dict(registry._metrics))
    monkeypatch.setattr(registry, "_image_functions", list(registry._image_functions))

    @registry.image_metric(
        "brightness", direction="none", protocol="difference of mean grey levels; all images"
    )
    def function(pixels: np.ndarray, reference: np.ndarray) -> float:
        return float(pixels.mean() - reference.mean())

    return function


def test_columns_are_the_metrics_and_the_facts():
    metrics = registry.metrics().values()
    values = {column for metric in metrics for column in registry._columns_of(metric)}
    assert set(registry.columns()) == FACTS | values | registry.protocol_columns().keys()


def test_metrics_are_in_the_order_of_the_columns():
    order = [name for name in registry.metrics() if name in registry.columns()]
    assert order == [name for name in registry.columns() if name in order]


def test_metrics_of_images_and_of_classifiers_are_told_apart():
    of_images = registry.image_metrics()
    assert {"frechet_classifier", "kid", "precision", "memorised", "fid", "diversity"} <= set(of_images)
    assert not {"accuracy", "difference", "accuracy_linear"} & set(of_images)


@pytest.mark.parametrize("labels", ["classes", "multi_hot"])
def test_every_sentence_can_be_written(labels):
    setup = Setup({**DATASET, "labels": labels}, Metrics(), "0" * 64, 8, 30)
    sentences = registry.protocol(setup, {"kid": "a reason"})
    assert sentences["kid"] == "not measured: a reason"
    assert sentences["accuracy"].startswith("60 real" if labels == "classes" else "mean over 2 attributes")
    assert ("exact_match" in sentences) == (labels == "multi_hot")
    assert all(sentences.values())


def test_a_shared_sentence_appears_once():
    sentences = registry.protocol(SETUP, {})
    assert sentences["precision_recall_density_coverage"].startswith("k = 5")
    assert not {"precision", "recall", "density", "coverage"} & sentences.keys()


@pytest.mark.parametrize(("direction", "arrow"), [("higher", "↑"), ("lower", "↓"), ("none", "")])
def test_arrows_and_headings(direction, arrow):
    assert Metric("some_name", direction).arrow == arrow
    assert (Metric("some_name", direction).heading, Metric("a", direction, title="A").heading) == (
        "some name",
        "A",
    )


class TestAdding:
    def test_it_is_measured_for_both_sources(self, brightness, network):
        real, synthetic, test = images(40, 0), images(50, 1), images(60, 2)
        values, _ = registry.measure_images(compare(network, real, synthetic, test))
        for source, (pixels, _), split in (("real", real, "train"), ("synthetic", synthetic, "synthetic")):
            assert values[source]["brightness"] == pixels.mean() - test[0].mean()
            how = values[source]["measured"]["brightness"]
            assert (how["split"], how["n"], how["reference"], how["n_reference"]) == (
                split,
                len(pixels),
                "test",
                60,
            )
            assert how["network"] == "none: pixels"

    def test_it_has_the_last_column_and_a_sentence(self, brightness):
        assert registry.columns()[-1] == "brightness"
        assert registry.columns()[: len(registry._PUBLISHED)] == list(registry._PUBLISHED)
        assert registry.protocol(SETUP, {})["brightness"] == SENTENCE

    def test_a_name_is_registered_once(self, brightness):
        with pytest.raises(ValueError, match="'brightness' is registered twice"):
            registry.image_metric("brightness", direction="none", protocol="")(brightness)
