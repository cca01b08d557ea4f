"""The check of the GPUs, on machines with and without them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pipeline.doctor import gpu
from tests.unit.pipeline.doctor.findings import only


@pytest.fixture
def machine(monkeypatch):
    """A function: a machine whose driver has `cards`, of which torch can use `usable`."""

    def make(cards: int, usable: int, build: str | None = "13.0", mps: bool = False) -> None:
        listed = [SimpleNamespace(name="NVIDIA H100")] * cards
        driver = ("535.54", "12.2") if cards else None
        monkeypatch.setattr(gpu, "nvidia_gpus", lambda: listed)
        monkeypatch.setattr(gpu, "nvidia_driver", lambda: driver)
        monkeypatch.setattr(torch.version, "cuda", build)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: usable)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "NVIDIA H100")
        properties = SimpleNamespace(total_memory=80e9)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make


def test_cards_torch_and_driver_are_named(root, machine, monkeypatch):
    machine(cards=2, usable=2)
    found = only(gpu.gpu(root))
    assert found.state == "ok"
    assert found.says == (
        "cuda:0 NVIDIA H100 (80 GB), cuda:1 NVIDIA H100 (80 GB); "
        f"torch {torch.__version__} with CUDA 13.0; driver 535.54"
    )
    machine(cards=2, usable=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert only(gpu.gpu(root)).says.endswith("driver 535.54; CUDA_VISIBLE_DEVICES=1")


def test_build_for_cpus_is_a_problem_unless_the_cpu_is_requested(root, machine, change):
    machine(cards=1, usable=0, build=None)
    found = only(gpu.gpu(root))
    assert found.state == "problem"
    assert "a build for CPUs" in found.says
    assert "UV_TORCH_BACKEND" in found.fix
    change("compute", device="cpu")
    assert only(gpu.gpu(root)).state == "note"


def test_old_driver_is_a_problem(root, machine):
    machine(cards=1, usable=0)
    found = only(gpu.gpu(root))
    assert found.state == "problem"
    assert found.says == (
        "NVIDIA H100, but torch with CUDA 13.0 cannot use it: driver 535.54 runs CUDA up to 12.2"
    )
    assert "update the driver" in found.fix


def test_hidden_cards_are_a_problem(root, machine, monkeypatch):
    machine(cards=1, usable=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = only(gpu.gpu(root))
    assert found.says == "NVIDIA H100, but torch sees none with CUDA_VISIBLE_DEVICES=''"
    assert found.fix.startswith("unset CUDA_VISIBLE_DEVICES")


def test_absent_gpu_is_a_problem_if_it_is_requested(root, machine, change):
    machine(cards=0, usable=0)
    assert only(gpu.gpu(root)).says == "none; training runs on the CPU"
    for device in ("cuda", "cuda:0", "mps"):
        change("compute", device=device)
        found = only(gpu.gpu(root))
        assert found.state == "problem"
        assert found.says.startswith(f"compute.device: {device} is requested, but torch finds no ")
        assert found.fix == "set compute.device: auto in params.yaml"


def test_number_of_a_cuda_device(root, machine, change):
    machine(cards=2, usable=2)
    change("compute", device="cuda:1")
    assert only(gpu.gpu(root)).state == "ok"
    change("compute", device="cuda:2")
    found = only(gpu.gpu(root))
    assert found.state == "problem"
    assert found.says == (
        "compute.device: cuda:2 is requested, but this machine has 2 CUDA devices (cuda:0, cuda:1)"
    )
    assert found.fix == "set compute.device: auto in params.yaml, or a device that is there"


def test_mps(root, machine, change):
    machine(cards=0, usable=0, build=None, mps=True)
    assert only(gpu.gpu(root)).says == f"Apple's GPU (mps); torch {torch.__version__}"
    change("compute", device="mps")
    assert only(gpu.gpu(root)).state == "ok"


def test_invalid_settings_hide_no_gpu(root, machine):
    machine(cards=1, usable=1)
    (root / "params.yaml").write_text("compute: {device: gpu}\n")
    assert only(gpu.gpu(root)).state == "ok"
