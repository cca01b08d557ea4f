"""Data sheets: where the images come from, and how good they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelmint.export import datasheet
from labelmint.export.export import Export
from labelmint.export.orders import Order
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from tests.untrained_generators import FAMILY_OF, untrained

ROW = {"accuracy": 0.955, "accuracy_low": 0.94, "accuracy_high": 0.97, "kid": 0.125}
METRICS = {
    "rows": [
        {"source": "real", **ROW, "accuracy": 0.98, "kid": 0.25},
        {"source": "synthetic", **ROW, "memorised": 0.0123},
    ],
    "protocol": {"kid": "n = 100"},
}


def export_of(label_type: str, order: Order, format: str = "tensors") -> Export:
    return Export(untrained(label_type), "weights", order, format, Path("out"), Compute("cpu"))


@pytest.mark.parametrize("label_type", FAMILY_OF)
def test_states_the_origin_of_the_images(label_type):
    text = datasheet.render(
        export_of(label_type, Order(5, seed=3, latent_deviation=1.25)), "dcgan-40-0", "cd" * 32, None
    )
    for part in ("Pets", "40 % of its training images: 12", "ab" * 32, "cd" * 32, "CC BY 4.0", "seed 3"):
        assert part in text
    assert "were not evaluated here" in text
    options = "--count 5 --seed 3 --latent-deviation 1.25 --format tensors --out out"
    assert f"labelmint sample dcgan-40-0 {options}" in text
    assert ", times 1.25; seed 3 |" in text


def test_shows_the_metrics_of_the_generator():
    export = export_of("per_class", Order(5, ("dog",)), "folders")
    text = datasheet.render(export, "dcgan-40-0", "", METRICS)
    assert "95.50 % [94.00, 97.00] for a classifier trained only on images from this generator" in text
    assert "98.00 % [94.00, 97.00] for one trained on the generator's own training images" in text
    assert "**Memorization**: 1.23 % of the synthetic images" in text
    assert "| kernel distance (KID) to the test images, in the same features | 0.125 | 0.25 |" in text
    assert "* kid: n = 100" in text
    assert "Sampled: dog; no other class." in text


def test_says_what_its_images_are_worth_in_real_ones():
    rows = [{"source": "real", **ROW}, {"source": "synthetic", **ROW, "n_synthetic": 10_000}]
    known = {"rows": rows}
    text = datasheet.render(export_of("per_class", Order(5)), "dcgan-40-0", "", known, "310 [250, 390]")
    assert "**Worth**: 10,000 of these images gave the accuracy that 310 \\[250, 390\\] real images" in text
    assert "Worth" not in datasheet.render(export_of("per_class", Order(5)), "dcgan-40-0", "", METRICS)


@pytest.mark.parametrize("metrics", [{}, {"rows": 3}, {"rows": [{"accuracy": 1.0}]}])
def test_refuses_damaged_metrics(metrics):
    with pytest.raises(InputError, match="metrics of this generator in data/metrics are damaged"):
        datasheet.render(export_of("per_class", Order(1)), "dcgan-40-0", "", metrics)
