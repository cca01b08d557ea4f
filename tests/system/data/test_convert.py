"""Memory of a process that converts more pixels than it may hold."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import ROOT

SCRIPT = r"""
import re
import sys
from pathlib import Path

import numpy as np

from labelmint.data.convert import convert
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.data.storage.tensors import keep_rows
from labelmint.data.stored_images import Block, RecordImages
from labelmint.runtime.settings import Compute


def peak_megabytes():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


rows = int(sys.argv[1])
with open("x", "wb") as file:
    file.truncate(rows * 64 * 64)
images = RecordImages([Block(Path("x"), 0, 64 * 64, rows)], (64, 64), "HW")
source = Source("zeros", "", ["a"], np.zeros(rows, np.int64), images)
before = peak_megabytes()
dataset = Dataset(image_size=64, channels=3)
convert(source, np.arange(rows), dataset, Path("images.npy"), Compute(workers=1))
keep_rows(Path("images.npy"), np.arange(1, rows))
print(peak_megabytes() - before, Path("images.npy").stat().st_size)
"""


def test_memory_is_bounded(tmp_path):
    """123 MB of tensors are written with less than 45 MB beyond what the start takes."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "10000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    grown, size = map(float, done.stdout.split())
    assert size > 1.2e8
    assert grown < 45
