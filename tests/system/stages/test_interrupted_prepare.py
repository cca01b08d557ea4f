"""The stage `prepare` as a process that is interrupted, or that meets a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import stage
from tests.conftest import ROOT
from tests.image_trees import Tree, encoded, good_tree, in_tar

COMMAND = [sys.executable, "-m", "pipeline.stage", "prepare"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def use_tree(project: Path, tree: Tree) -> None:
    """Write a tar of images, and name it in params.yaml."""
    in_tar(project / "t.tar", tree)
    text = (project / "params.yaml").read_text()
    for old, new in (
        ("name: digits", "name: mine"),
        ("format: null", "format: imagefolder"),
        ("path: null", "path: t.tar"),
    ):
        text = text.replace(old, new, 1)
    (project / "params.yaml").write_text(text)


def wait_for_group_to_end(group: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"processes of group {group} remain")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_leaves_nothing_behind_and_a_new_run_succeeds(project, name, code):
    use_tree(
        project,
        {
            f"{label}/{number}.png": encoded(number + label * 999, size=(400, 400))
            for label in (1, 2)
            for number in range(60)
        },
    )
    process = subprocess.Popen(
        COMMAND,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Else a test run in the background, which ignores SIGINT, would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    work, deadline = project / "data" / ".prepare" / "train" / "images.npy", time.monotonic() + 120
    while not work.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, getattr(signal, name))
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == code, stderr
    assert stderr.strip().splitlines()[-1].startswith("error: prepare: ")
    assert not list((project / "data").iterdir())
    wait_for_group_to_end(process.pid)  # no worker process remains
    assert stage.main(["prepare"]) == 0


def test_a_full_disk_leaves_nothing_behind(project):
    use_tree(project, good_tree(count=300))
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 88 && exec "$@"', "bash", *COMMAND],  # files of at most 88 KiB
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "data/.prepare/train/images.npy: no space left to write" in done.stderr
    assert not list((project / "data").iterdir())
