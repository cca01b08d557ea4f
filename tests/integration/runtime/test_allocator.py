"""Worker processes use freed memory again."""

from __future__ import annotations

import resource
import sys

import pytest
import torch

from labelmint.runtime.process_pool import in_processes


def _page_faults(rounds: int) -> int:
    """Page faults while ten tensors of 4 MiB are allocated and freed `rounds` times."""
    for _ in range(3):
        _allocate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        _allocate()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _allocate() -> None:
    [torch.ones(1 << 20) for _ in range(10)]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_worker_does_not_fault_its_memory_in_again():
    """Each allocation of a round faults 10,240 pages where freed memory is returned to the system."""
    rounds = 10
    ((_, faults),) = in_processes(_page_faults, [rounds], 1)
    assert faults < rounds * 1000
