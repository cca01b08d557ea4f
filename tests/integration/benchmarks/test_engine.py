"""The engine of a checkout is compared with that of another one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import pytest

from benchmarks.engine_parts import previous
from labelmint.runtime.errors import InputError
from labelmint.training.settings import Training
from tests.conftest import ROOT
from tests.family_settings import FAMILIES, SHAPE


@pytest.fixture(autouse=True)
def one_small_case(monkeypatch):
    case = (FAMILIES["dcgan"], replace(Training(), batch_size=8), SHAPE, 4)
    monkeypatch.setattr(previous, "cases", lambda: {"small": case})
    monkeypatch.setattr(previous, "_STEPS", {"small": 2})


def test_both_engines_are_timed_in_turn(tmp_path):
    shutil.copytree(ROOT / "labelmint", tmp_path / "labelmint")
    (row,) = previous.against_checkout(tmp_path, rounds=3)
    assert row["networks"] == "small" and row["batch"] == 8
    assert row["images_per_second"] > 0 and row["previous_images_per_second"] > 0
    assert row["least_ratio"] <= row["ratio"] <= row["greatest_ratio"]


def test_a_setting_that_an_engine_lacks_is_left_out(tmp_path, monkeypatch, capfd):
    @dataclass(frozen=True, kw_only=True)
    class LaterTraining(Training):
        later: int = 0

    case = (FAMILIES["dcgan"], LaterTraining(batch_size=8), SHAPE, 4)
    monkeypatch.setattr(previous, "cases", lambda: {"small": case})
    shutil.copytree(ROOT / "labelmint", tmp_path / "labelmint")
    (row,) = previous.against_checkout(tmp_path, rounds=2)
    assert row["ratio"] > 0
    assert capfd.readouterr().err.splitlines() == ["not in this engine: Training: later"] * 2


def test_a_folder_without_an_engine_is_refused(tmp_path):
    with pytest.raises(InputError, match="its engine failed"):
        previous.against_checkout(tmp_path, rounds=1)
