"""The benchmark of a machine with a GPU: its check of correctness, and its resuming."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from benchmarks import gpu


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
    ],
)
def test_all_ways_are_correct_and_a_finished_part_is_not_repeated(tmp_path, device, monkeypatch, capsys):
    options = ["--out", str(tmp_path), "--device", device, "--small", "--parts", "correctness"]
    monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *options])
    gpu.main()
    assert "all parts are done" in capsys.readouterr().out
    record = json.loads((tmp_path / "correctness.json").read_text())
    found = record["correctness"]
    assert record["torch"] and found["correct"]
    assert {"stacked, graphs", "stacked, eager", "single, eager"} <= found.keys()
    gpu.main()
    assert capsys.readouterr().out.strip() == "all parts are done"
