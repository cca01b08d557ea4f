"""The one command for a machine with a GPU: that it runs, finds the results correct, and goes on where it stopped."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
def test_stacked_alone_and_as_graphs_are_correct(tmp_path, device):
    command = [sys.executable, "benchmarks/gpu.py", "--out", str(tmp_path), "--device", device, "--small"]
    command += ["--parts", "correctness"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0 and "all parts are done" in ran.stdout, ran.stderr
    written = json.loads((tmp_path / "correctness.json").read_text())
    found = written["correctness"]
    assert found["correct"] and {"stacked, graphs", "stacked, eager", "alone"} <= found.keys() and written["torch"]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert again.stdout.strip() == "all parts are done"
