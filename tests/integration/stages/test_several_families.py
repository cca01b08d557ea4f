"""One report compares several families: an arm of each, with one baseline."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from labelmint.gans import archive
from labelmint.metrics.arm import latent_space
from labelmint.reporting.tables import read_results
from labelmint.runtime.atomic_files import load_json
from stages.paths import Arm, Paths
from tests.conftest import CPU
from tests.integration.stages.workspaces import all_stages, page

FAMILIES = ["dcgan", "cgan", "acgan", "wgan_gp"]


@pytest.fixture(scope="module")
def compared(params, tmp_path_factory) -> Paths:
    """Few real digits and the default settings, shrunk; no test here needs networks that have learned."""
    short = replace(
        params,
        generators=FAMILIES,
        percents=[100],
        training=replace(params.training, images_per_epoch=8, ensemble=2),
        classifier=replace(params.classifier, steps=8, evaluations=2),
        feature_network=replace(params.feature_network, steps=20),
    )
    return all_stages(short, tmp_path_factory.mktemp("compared"))


def test_each_family_has_its_rows_and_all_have_one_baseline(compared):
    table = read_results(compared.reports / "results.csv")
    real, synthetic = ([row for row in table if row["source"] == source] for source in ("real", "synthetic"))
    assert {row["generator"] for row in real} == {row["generator"] for row in synthetic} == set(FAMILIES)
    assert all(row["accuracy"] > 0 for row in table)
    assert len({(row["accuracy"], row["n_real"], row["steps"]) for row in real}) == 1  # the same classifier
    assert len({row["frechet_classifier"] for row in synthetic}) == 4


def test_each_class_has_two_generators(compared):
    for name in FAMILIES:
        folder = compared.generator(Arm(name, 100, 0))
        generators = archive.load(folder)
        assert generators.ensemble == 2
        first, second = (generators.network(0, member).state_dict() for member in range(2))
        assert any(not torch.equal(first[key], second[key]) for key in first)
        per_class = generators.family.labels == "per_class"
        of_first = ["0", "0 (2)"] if per_class else ["all", "all (2)"]
        trained = [row["class"] for row in csv.DictReader((folder / "training.csv").open())]
        assert list(dict.fromkeys(trained))[:2] == of_first
        assert len(set(trained)) == (20 if per_class else 2)


def test_the_page_shows_each(compared):
    content = page(compared)
    for name in FAMILIES:
        assert f"{name}-100-0" in content
        assert f"only on synthetic images from {name} reaches" in content
    assert content.count('class="frames"') == len(FAMILIES)
    assert content.count('class="frame"') == 2 * len(FAMILIES)


def test_a_conditional_generator_shows_the_same_latent_with_each_label(compared):
    arm, digits = Arm("cgan", 100, 0), [str(digit) for digit in range(10)]
    content = load_json(compared.metrics(arm))["latent_space"]
    assert content["rows"] == {"interpolation": digits, "labels": digits}
    assert Image.open(compared.latent_space(arm) / "labels.png").size == (10 * 3 * 17 - 3, 10 * 3 * 17 - 3)
    found = latent_space.label_sheet(archive.load(compared.generator(arm)), 0, CPU)
    assert found is not None
    assert found[0].shape == (10, 10, 1, 16, 16)
    assert not np.array_equal(found[0][0], found[0][1])
