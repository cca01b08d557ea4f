"""One model on two processes (gloo): gradients, weights and files are those of one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from labelmint.training.team import Batch, Single
from labelmint.training.updates import D, G
from tests.conftest import CPU, ROOT

_STEP = """
import pickle, sys
import torch
from stages.train_generators.distributed import Distributed, group
from tests.stages.test_distributed import two_steps
torch.set_num_threads(1)
given = pickle.load(open(sys.argv[1], "rb"))
with group(torch.device("cpu")) as device:
    team = Distributed(*given["arguments"], device)
    gradients = two_steps(team, given["real"])
    torch.save({"gradients": gradients, "weights": team.state(0), "means": team.means(0, 2)}, f"{sys.argv[1]}.{team.rank}")
"""


def two_steps(team: Single, real: np.ndarray) -> dict[str, list[list[torch.Tensor]]]:
    """Take two steps on this process's share of `real`. Returns: the gradients of every descent, by player."""
    gathered: dict[str, list[list[torch.Tensor]]] = {D: [], G: []}
    step = team.step

    def keep(player, gradients):
        gathered[player].append([gradient.clone() for gradient in gradients])
        step(player, gradients)

    team.step = keep
    for number in range(2):
        mine = team.mine(np.arange(len(real)))
        team.train_step(number, Batch.unlabelled(torch.from_numpy(real[mine]), True), 1.0, 0.5)
    return gathered


def torchrun(*arguments: str, folder, processes: int = 2) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LABELMINT_TRACKING": "off"},
    )  # fmt: skip


@pytest.mark.parametrize("batch", [12, 13])
def test_gradients_are_those_of_the_whole_batch(params, tmp_path, batch):
    """Without batch normalisation, whose statistics are each process's own. 13 images do not divide evenly."""
    import pickle

    family = params.families["dcgan"]
    family = replace(
        family,
        generator=replace(family.generator, batch_norm=False),
        discriminator=replace(family.discriminator, batch_norm=False, block_dropout=0.2, head_noise=0.1),
    )
    training = replace(params.training, batch_size=batch)
    real = np.random.default_rng(0).integers(0, 256, (batch, 1, 16, 16), dtype=np.uint8)
    arguments = ("dcgan", family, training, (1, 16, 16), 0, 7, True)
    (tmp_path / "step.py").write_text(_STEP)
    (tmp_path / "given").write_bytes(pickle.dumps({"arguments": arguments, "real": real}))
    ran = torchrun("step.py", "given", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]

    single = Single(*arguments, CPU)
    gathered = two_steps(single, real)
    first, second = (torch.load(tmp_path / f"given.{rank}") for rank in (0, 1))
    for player, steps in {D: 2, G: 1}.items():
        # The first step's gradients are of the same weights; later ones inherit Adam's rounding.
        for ours, theirs in zip(gathered[player][:steps], first["gradients"][player], strict=False):
            for one, two in zip(ours, theirs, strict=True):
                assert (one - two).abs().max() < 1e-6 * max(1, one.abs().max()), player
    for player in (G, D):
        for one, two in zip(first["weights"][player], second["weights"][player], strict=True):
            assert torch.equal(one, two)  # the processes never drift apart
    assert first["means"] == second["means"]
    assert first["means"] == pytest.approx(single.means(0, 2), rel=1e-3)


def test_torchrun_runs_the_stage_and_one_process_writes(workspace, params, tmp_path):
    """The stage itself, from params.yaml, under torchrun: what comes out is the same arm."""
    from ruamel.yaml import YAML

    yaml = YAML()
    content = yaml.load((ROOT / "experiments" / "default.yaml").read_text())
    content["training"].update(epochs=1, images_per_epoch=16, batch_size=8, preview_images=3)
    content["compute"].update(device="cpu")
    yaml.dump(content, tmp_path / "params.yaml")
    shutil.copytree(workspace.tensors, tmp_path / "data" / "tensors")
    ran = torchrun("-m", "pipeline.stage", "train_generators", "dcgan-100-0", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stderr.count("class 9: 16 images seen") == 1
    weights = load_file(tmp_path / "data/generators/dcgan-100-0/generator.safetensors")
    assert all(np.isfinite(values).all() and len(values) == 10 for values in weights.values())
    assert not list((tmp_path / ".checkpoints").iterdir())


def test_the_simultaneous_rule_is_refused_in_one_line(workspace, params, tmp_path):
    text = (
        (ROOT / "experiments" / "default.yaml")
        .read_text()
        .replace("update: sequential ", "update: simultaneous ")
    )
    (tmp_path / "params.yaml").write_text(text)
    shutil.copytree(workspace.tensors, tmp_path / "data" / "tensors")
    ran = torchrun("-m", "pipeline.stage", "train_generators", "dcgan-100-0", folder=tmp_path)
    assert ran.returncode != 0
    assert (
        "error: train_generators dcgan-100-0: families: under torchrun only `update: sequential` works"
        in ran.stderr
    )
