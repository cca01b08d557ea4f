"""A stopped stage saves its progress, says so in one line, and resumes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.system.servers import until

COMMAND = [sys.executable, "-m", "pipeline.stage", "train_generators", "dcgan-100-0"]
STEPS = 40


@pytest.fixture
def folder(prepared, tmp_path):
    yaml = YAML()
    content = yaml.load((ROOT / "experiments" / "default.yaml").read_text())
    content["training"].update(epochs=4, images_per_epoch=10 * content["training"]["batch_size"])
    content["compute"].update(device="cpu", workers=2)
    yaml.dump(content, tmp_path / "params.yaml")
    shutil.copytree(prepared.tensors, tmp_path / "data" / "tensors")
    return tmp_path


@pytest.mark.parametrize(
    ("strategy", "name", "code"),
    [
        ("processes", "SIGINT", 130),
        ("processes", "SIGTERM", 143),
        ("one_by_one", "SIGINT", 130),
        ("stacked", "SIGTERM", 143),
    ],
)
def test_a_stopped_stage_saves_and_resumes(folder, strategy, name, code):
    yaml = YAML()
    content = yaml.load((folder / "params.yaml").read_text())
    content["compute"]["strategy"] = strategy
    yaml.dump(content, folder / "params.yaml")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LABELMINT_TRACKING": "off"}
    process = subprocess.Popen(
        COMMAND,
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    until(lambda: list((folder / ".checkpoints").glob("*/class-*/*.pt")) or process.poll() is not None)
    assert process.poll() is None
    # Ctrl-C reaches the whole process group, a SIGTERM only the process that was started.
    (os.killpg if name == "SIGINT" else os.kill)(process.pid, getattr(signal, name))
    _, message = process.communicate(timeout=60)
    assert process.returncode == code
    assert message.strip().splitlines()[-1].startswith("error: train_generators")
    assert "Traceback" not in message
    until(lambda: _has_ended(process.pid))  # the whole process group, workers too
    saved = list((folder / ".checkpoints").glob("*/class-*/*"))
    assert saved
    assert all(path.suffix == ".pt" and int(path.stem.split("-")[1]) <= STEPS for path in saved)
    resumed = subprocess.run(
        COMMAND, check=False, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, timeout=300
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from step" in resumed.stderr
    assert not list((folder / ".checkpoints").iterdir())


def _has_ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
