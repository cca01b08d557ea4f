"""Cores, cards and threads."""

from __future__ import annotations

import os
import platform
import sys
import types

import pytest
import torch

from labelmint.runtime import devices
from labelmint.runtime.devices import (
    arithmetic,
    available_cores,
    find_device,
    nvidia_driver,
    nvidia_gpus,
    pick_device,
    threads,
)
from labelmint.runtime.errors import InputError
from labelmint.runtime.process_pool import worker_count
from labelmint.runtime.settings import Compute


def test_cores_are_those_of_this_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5, 7})
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


def test_the_processor_has_its_model_as_name(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9B14\ncores\t: 2\n")
    monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "cpuinfo")
    assert devices.processor_name() == "AMD EPYC 9B14"
    monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "absent")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert devices.processor_name() == "riscv64"


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
        nvmlDeviceGetUUID=lambda handle: [b"GPU-1", "GPU-2"][handle],
        nvmlSystemGetDriverVersion=lambda: b"580.65",
        nvmlSystemGetCudaDriverVersion_v2=lambda: 12040,
        nvmlDeviceGetUtilizationRates=unsupported,
        nvmlDeviceGetMemoryInfo=lambda handle: types.SimpleNamespace(used=(handle + 1) * 1_000_000),
        nvmlDeviceGetPowerUsage=lambda handle: 250_000,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_cards_have_names_and_readings(driver):
    assert [gpu.name for gpu in nvidia_gpus()] == ["H100", "H200"]
    assert nvidia_gpus()[1].readings() == {"memory_usage_megabytes": 2.0, "power_usage_watts": 250.0}


def test_cards_have_a_name_on_the_machine(driver, monkeypatch):
    assert [gpu.uuid for gpu in nvidia_gpus()] == ["GPU-1", "GPU-2"]

    def unsupported(handle):
        raise NVMLError

    monkeypatch.setattr(driver, "nvmlDeviceGetUUID", unsupported)
    assert [gpu.uuid for gpu in nvidia_gpus()] == ["", ""]


def test_driver_and_the_cuda_that_it_runs(driver, monkeypatch):
    assert nvidia_driver() == ("580.65", "12.4")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvidia_driver() is None


def test_no_driver_is_no_card(driver, monkeypatch):
    def missing():
        raise NVMLError

    monkeypatch.setattr(driver, "nvmlInit", missing)
    assert nvidia_gpus() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvidia_gpus() == []


@pytest.fixture
def torch_finds(monkeypatch):
    """A function: let torch find so many CUDA devices, and Apple's GPU or not."""

    def find(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return find


@pytest.mark.parametrize(
    ("cuda", "mps", "device"), [(2, True, "cuda"), (0, True, "mps"), (0, False, "cpu"), (1, False, "cuda")]
)
def test_auto_is_cuda_then_mps_then_cpu(torch_finds, cuda, mps, device):
    torch_finds(cuda, mps)
    assert pick_device(Compute()) == torch.device(device)
    assert pick_device(Compute(device="cpu")) == torch.device("cpu")


def test_a_numbered_device_becomes_the_current_one(torch_finds, monkeypatch):
    torch_finds(cuda=2)
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert pick_device(Compute(device="cuda:1")) == torch.device("cuda", 1)
    assert current == [torch.device("cuda", 1)]
    assert pick_device(Compute(device="cuda")) == torch.device("cuda")
    assert find_device("cuda:0") == torch.device("cuda", 0)
    assert len(current) == 1


@pytest.mark.parametrize(
    ("device", "cuda", "message"),
    [
        (
            "cuda:3",
            2,
            "compute.device: cuda:3 is requested, but this machine has 2 CUDA devices (cuda:0, cuda:1); "
            "set compute.device to one of them, or to cpu",
        ),
        (
            "cuda:1",
            1,
            "compute.device: cuda:1 is requested, but this machine has 1 CUDA device (cuda:0); "
            "set compute.device to one of them, or to cpu",
        ),
        (
            "cuda",
            0,
            "compute.device: cuda is requested, but torch finds no CUDA device on this machine; "
            "`labelmint doctor` shows the driver and the cards, or set compute.device to auto or cpu",
        ),
        (
            "mps",
            2,
            "compute.device: mps is requested, but torch finds no Apple GPU (MPS) on this machine; "
            "set compute.device to auto or cpu",
        ),
    ],
)
def test_a_device_that_torch_cannot_use_is_a_user_error(torch_finds, device, cuda, message):
    torch_finds(cuda)
    with pytest.raises(InputError) as raised:
        pick_device(Compute(device=device))
    assert str(raised.value) == message


def test_the_reason_why_there_is_no_cuda_device_is_named(torch_finds, monkeypatch):
    torch_finds(cuda=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    with pytest.raises(InputError, match=r"1 CUDA device \(cuda:0\) with CUDA_VISIBLE_DEVICES='2'; set"):
        find_device("cuda:2")
    torch_finds(cuda=0)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match="on the worker is a build without CUDA; install one with CUDA"):
        find_device("cuda", "the worker")


def test_threads_are_restored():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_operation_without_a_deterministic_version_is_named(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cuda = torch.device("cuda", 0)
    values = torch.ones(2, 3)
    with (
        pytest.raises(
            InputError, match=r"^compute\.deterministic: put_ cannot be computed deterministically"
        ),
        arithmetic(Compute(deterministic=True), cuda),
    ):
        values.put_(torch.tensor([0]), torch.ones(1))  # has none on any device
    with arithmetic(Compute(), cuda):
        values.put_(torch.tensor([0]), torch.ones(1))
    with pytest.raises(RuntimeError, match="another"), arithmetic(Compute(deterministic=True), cuda):
        raise RuntimeError("another")
    assert not torch.are_deterministic_algorithms_enabled()
