"""The device of a Dask worker, on hosts with fake GPUs."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.training.cluster import worker_device

HOSTS = {
    "tcp://10.0.0.2:41": "10.0.0.2",
    "tcp://10.0.0.1:42": "10.0.0.1",
    "tcp://10.0.0.1:41": "10.0.0.1",
    "tcp://10.0.0.1:43": "10.0.0.1",
}


@pytest.fixture
def gpus(monkeypatch):
    """A function: let this worker have so many CUDA devices. Returns the current ones that were set."""
    current: list[torch.device] = []

    def have(count: int) -> list[torch.device]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", current.append)
        return current

    monkeypatch.delitem(sys.modules, "dask_cuda", raising=False)
    return have


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_workers_of_a_host_take_its_cards_in_turn(gpus, device):
    current = gpus(2)
    taken = {worker: worker_device(Compute(device), worker, HOSTS).index for worker in HOSTS}
    assert taken == {
        "tcp://10.0.0.1:41": 0,
        "tcp://10.0.0.1:42": 1,
        "tcp://10.0.0.1:43": 0,
        "tcp://10.0.0.2:41": 0,
    }
    assert [each.index for each in current] == list(taken.values())


def test_a_numbered_device_is_the_same_for_every_worker(gpus):
    gpus(2)
    devices = {worker_device(Compute("cuda:1"), worker, HOSTS) for worker in HOSTS}
    assert devices == {torch.device("cuda", 1)}


def test_dask_cuda_has_put_the_workers_own_card_first(gpus, monkeypatch):
    gpus(2)
    monkeypatch.setitem(sys.modules, "dask_cuda", types.ModuleType("dask_cuda"))
    assert worker_device(Compute(), "tcp://10.0.0.1:42", HOSTS) == torch.device("cuda")


def test_a_worker_without_a_gpu_is_named_and_never_computes_on_its_cpu_instead(gpus):
    gpus(0)
    worker = "tcp://10.0.0.2:41"
    assert worker_device(Compute(), worker, HOSTS) == torch.device("cpu")
    assert worker_device(Compute("cpu"), worker, HOSTS) == torch.device("cpu")
    with pytest.raises(InputError, match=f"compute.device: cuda is requested, but torch .* {worker}"):
        worker_device(Compute("cuda"), worker, HOSTS)
    gpus(1)
    with pytest.raises(InputError, match=rf"the Dask worker {worker} has 1 CUDA device \(cuda:0\)"):
        worker_device(Compute("cuda:1"), worker, HOSTS)


def test_the_cpu_stays_the_cpu_beside_a_gpu(gpus):
    gpus(2)
    assert worker_device(Compute("cpu"), "tcp://10.0.0.1:42", HOSTS) == torch.device("cpu")
