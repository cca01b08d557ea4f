"""Limits of the instruction set: set before torch is imported, or refused."""

from __future__ import annotations

import os
import sys

import pytest

from labelmint.runtime import portable
from labelmint.runtime.devices import pick_device
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute

_SET_LIMITS = portable.set_limits  # other tests are spared it


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    monkeypatch.setattr(portable, "set_limits", _SET_LIMITS)
    for name in portable.LIMITS:
        monkeypatch.delenv(name, raising=False)


def test_limits_that_come_too_late_are_refused():
    with pytest.raises(InputError, match=r"set ATEN_CPU_CAPABILITY=avx2 .* before Python starts"):
        pick_device(Compute("cpu", portable=True))
    assert not set(portable.LIMITS) & set(os.environ)


def test_limits_are_set_for_processes_that_start(monkeypatch):
    for name in ("torch", "numpy"):
        monkeypatch.delitem(sys.modules, name)
    portable.set_limits()
    assert portable.LIMITS.items() <= os.environ.items()


def test_a_process_that_was_started_with_them_computes(monkeypatch, caplog):
    for name, value in portable.LIMITS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    assert pick_device(Compute("cpu", portable=True)).type == "cpu"
    assert not caplog.records
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT")
    with caplog.at_level("INFO", "labelmint"):
        pick_device(Compute("cpu", portable=True))
    assert "without AVX2" in caplog.text
