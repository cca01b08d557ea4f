"""The networks of the reports' experiments are those of the reports' tables."""

from __future__ import annotations

import re

import pytest

from tests.experiment_settings import settings_of
from tests.report_experiments import OF_REPORTS
from tests.unit.labelmint.gans.network_rows import parameters, rows_of
from tests.unit.labelmint.gans.report_tables import TABLES

WITHOUT_TABLE = {"mnist_report", "dcgan_bedrooms_32", "dcgan_faces_128_selu"}
"""The report states no widths of the first two; the third is another activation in one of the others."""


def test_every_report_experiment_has_a_table():
    assert set(OF_REPORTS) == set(TABLES) | WITHOUT_TABLE


@pytest.mark.parametrize("name", TABLES)
def test_networks_are_those_of_the_reports_table(name):
    rows, counts = rows_of(settings_of(name))
    assert rows == TABLES[name]
    assert counts == {player: parameters(TABLES[name][player]) for player in ("G", "D")}


def test_the_discriminator_for_imagenet_has_14336_features():
    """The maps of each block after max pooling: 128 x 8 x 8 + 256 x 4 x 4 + 512 x 2 x 2."""
    rows = rows_of(settings_of("dcgan_imagenet32"))[0]["D"]
    blocks = [re.search(r">(\d+) .* (\d+)px", row) for row in rows[:3]]
    assert sum(int(found[1]) * (int(found[2]) // 2) ** 2 for found in blocks if found) == 14_336
