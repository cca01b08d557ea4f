"""Cores, cards and threads."""

from __future__ import annotations

import os
import sys
import types

import pytest
import torch

from labelmint.runtime.devices import available_cores, nvidia_gpus, pick_device, threads
from labelmint.runtime.process_pool import worker_count
from labelmint.runtime.settings import Compute


def test_cores_are_those_of_this_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7})
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_workers_are_at_most_one_per_job_and_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert [worker_count(Compute(), jobs) for jobs in (0, 2, 9)] == [1, 2, 3]
    assert worker_count(Compute(workers=7), 9) == 7


class NVMLError(Exception):
    """What the driver's library raises."""


@pytest.fixture
def driver(monkeypatch):
    """A driver with two cards, of which one does not tell its load."""

    def unsupported(handle):
        raise NVMLError

    library = types.SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: [b"H100", "H200"][handle],
        nvmlDeviceGetUtilizationRates=unsupported,
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=(handle + 1) * 1_000_000),
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_cards_have_names_and_readings(driver):
    assert [gpu.name for gpu in nvidia_gpus()] == ["H100", "H200"]
    assert nvidia_gpus()[1].readings() == {"memory_usage_megabytes": 2.0, "power_usage_watts": 250.0}


def test_no_driver_is_no_card(driver, monkeypatch):
    def missing():
        raise NVMLError

    monkeypatch.setattr(driver, "nvmlInit", missing)
    assert nvidia_gpus() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvidia_gpus() == []


@pytest.mark.parametrize(("available", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_gpu_that_torch_can_use(monkeypatch, available, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device(Compute()).type == device
    assert pick_device(Compute(device="cpu")).type == "cpu"


def test_threads_are_restored():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
