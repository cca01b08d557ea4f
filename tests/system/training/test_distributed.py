"""One model on two processes (gloo): gradients, weights and files are those of one process."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from labelmint.training.gan_learner import GanLearner
from labelmint.training.updates import D, G
from tests.conftest import CPU, ROOT
from tests.system.training.two_steps import two_steps


def torchrun(*arguments: str, folder: Path, processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", str(processes), *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LABELMINT_TRACKING": "off"},
    )


@pytest.mark.parametrize("batch", [12, 13])
def test_gradients_are_those_of_the_whole_batch(params, tmp_path, batch):
    """Without batch normalisation, which uses each process's statistics. 13 images do not divide evenly."""
    family = params.families["dcgan"]
    discriminator = replace(family.discriminator, batch_norm=False, block_dropout=0.2, head_noise=0.1)
    generator = replace(family.generator, batch_norm=False)
    family = replace(family, generator=generator, discriminator=discriminator)
    training = replace(params.training, batch_size=batch)
    real = np.random.default_rng(0).integers(0, 256, (batch, 1, 16, 16), dtype=np.uint8)
    arguments = ("dcgan", family, training, (1, 16, 16))
    named: dict[str, Any] = {"labels": 0, "seed": 7, "mirrored": True}
    given = {"arguments": arguments, "named": named, "real": real}
    (tmp_path / "given").write_bytes(pickle.dumps(given))
    ran = torchrun("-m", "tests.system.training.two_steps", "given", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]

    single = GanLearner(*arguments, **named, device=CPU)
    gathered = two_steps(single, real)
    first, second = (torch.load(tmp_path / f"given.{rank}") for rank in (0, 1))
    for player, steps in {D: 2, G: 1}.items():
        # The first step's gradients are of the same weights; later ones inherit Adam's rounding.
        for ours, theirs in zip(gathered[player][:steps], first["gradients"][player], strict=False):
            for one, two in zip(ours, theirs, strict=True):
                assert (one - two).abs().max() < 1e-6 * max(1.0, one.abs().max().item()), player
    for player in (G, D):
        for one, two in zip(first["weights"][player], second["weights"][player], strict=True):
            assert torch.equal(one, two)  # the processes never drift apart
    assert first["means"] == second["means"]
    assert first["means"] == pytest.approx(single.means(2), rel=1e-3)


def test_the_stage_runs_under_torchrun_and_one_process_writes(prepared, tmp_path):
    yaml = YAML()
    content = yaml.load((ROOT / "experiments" / "default.yaml").read_text())
    content["training"].update(epochs=1, images_per_epoch=16, batch_size=8, preview_images=3)
    content["compute"].update(device="cpu")
    yaml.dump(content, tmp_path / "params.yaml")
    shutil.copytree(prepared.tensors, tmp_path / "data" / "tensors")
    ran = torchrun("-m", "pipeline.stage", "train_generators", "dcgan-100-0", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stderr.count("class 9: 16 images seen") == 1
    weights = load_file(tmp_path / "data/generators/dcgan-100-0/generator.safetensors")
    assert all(np.isfinite(values).all() for values in weights.values())
    assert {len(values) for values in weights.values()} == {10}
    assert not list((tmp_path / ".checkpoints").iterdir())


def test_the_simultaneous_rule_is_refused_in_one_line(prepared, tmp_path):
    yaml = YAML()
    content = yaml.load((ROOT / "experiments" / "default.yaml").read_text())
    content["families"]["dcgan"]["update"] = "simultaneous"
    yaml.dump(content, tmp_path / "params.yaml")
    shutil.copytree(prepared.tensors, tmp_path / "data" / "tensors")
    ran = torchrun("-m", "pipeline.stage", "train_generators", "dcgan-100-0", folder=tmp_path)
    assert ran.returncode != 0
    expected = "error: train_generators dcgan-100-0: families: under torchrun only `update: sequential` works"
    assert expected in ran.stderr
