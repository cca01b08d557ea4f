"""A stopped stage saves its progress, says so in one line, and resumes when it is run again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.system.servers import until

COMMAND = [sys.executable, "-m", "pipeline.stage", "train_generators", "dcgan-100-0"]


@pytest.fixture
def folder(prepared, tmp_path):
    """A workspace whose training takes minutes on any machine."""
    yaml = YAML()
    content = yaml.load((ROOT / "experiments" / "default.yaml").read_text())
    content["training"].update(epochs=2000, images_per_epoch=10 * content["training"]["batch_size"])
    content["compute"].update(device="cpu", workers=2)
    yaml.dump(content, tmp_path / "params.yaml")
    shutil.copytree(prepared.tensors, tmp_path / "data" / "tensors")
    return tmp_path


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The stage, and the file with its stderr. Whatever is left of it is killed at the end."""
    messages = folder / "messages"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LABELMINT_TRACKING": "off"}
    with messages.open("w") as file:
        process = subprocess.Popen(
            COMMAND,
            cwd=folder,
            env=environment,
            stderr=file,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
    try:
        yield process, messages
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def has_ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("strategy", "name", "code"),
    [
        ("processes", "SIGINT", 130),
        ("processes", "SIGTERM", 143),
        ("one_by_one", "SIGINT", 130),
    ],
)
def test_a_stopped_stage_saves_and_resumes(folder, strategy, name, code):
    yaml = YAML()
    content = yaml.load((folder / "params.yaml").read_text())
    content["compute"]["strategy"] = strategy
    yaml.dump(content, folder / "params.yaml")

    def checkpoints() -> list[Path]:
        return list((folder / ".checkpoints").glob("*/class-*/*"))

    with running(folder) as (process, messages):
        until(lambda: checkpoints() or process.poll() is not None)
        # Ctrl-C reaches the whole process group, a SIGTERM only the process that was started.
        (os.killpg if name == "SIGINT" else os.kill)(process.pid, getattr(signal, name))
        assert process.wait(60) == code
        message = messages.read_text()
        assert message.strip().splitlines()[-1].startswith("error: train_generators")
        assert "Traceback" not in message
        until(lambda: has_ended(process.pid))  # the whole process group, workers too
    assert {path.suffix for path in checkpoints()} == {".pt"}
    with running(folder) as (process, messages):
        until(lambda: "resuming from step" in messages.read_text() or process.poll() is not None)
        process.terminate()
        assert process.wait(60) == 143
        assert "resuming from step" in messages.read_text()
