from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labelmint.gans import archive
from pipeline.settings.schema import Params
from tests import random_arms
from tests.conftest import ROOT
from tests.untrained_generators import untrained


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small untrained conditional generator."""
    folder = tmp_path_factory.mktemp("generator")
    archive.save(folder, untrained("conditional"), {})
    return folder


@pytest.fixture(scope="module")
def reported(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with random results of one arm and two classes, and their report."""
    root = tmp_path_factory.mktemp("reported")
    random_arms.report(root, replace(params, generators=["dcgan"], percents=[100]), ["a", "b"])
    text = (ROOT / "experiments" / "default.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("percents: [40, 60, 80, 100]", "percents: [100]", 1))
    shutil.copy(ROOT / "dvc.yaml", root)
    return root
