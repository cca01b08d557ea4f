"""What `dvc repro` of the real stages shows in a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.system.clone import Clone

STAGES = [
    "prepare",
    "train_feature_network",
    "train_generators@dcgan-100-0",
    "synthesize@dcgan-100-0",
    "train_baselines@100-0",
    "train_classifiers@dcgan-100-0",
    "evaluate@dcgan-100-0",
    "report",
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A run whose training takes a few seconds, with two processes."""
    made = Clone(tmp_path_factory.mktemp("terminal"))
    made.change(
        training={"images_per_epoch": 1600},
        classifier={"steps": 60, "network": "small_cnn"},
        feature_network={"steps": 200},
        compute={"workers": 2},
    )
    return made


def in_terminal(folder: Path, command: list[str], columns: int = 80) -> list[str]:
    """Rows that a command shows in a terminal, the overwritten ones too, without escape codes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "TERM": "xterm-256color",
        "LABELMINT_TRACKING": "off",
        "DVC_NO_ANALYTICS": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    with subprocess.Popen(
        command, cwd=folder, env=inherited | own, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError as error:
            if error.errno != errno.EIO:  # the other side is closed
                raise
    os.close(ours)
    assert process.returncode == 0, shown[-3000:].decode()
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown.decode()))


def test_every_stage_has_its_number_and_no_row_is_broken(clone):
    rows = in_terminal(clone.folder, ["dvc", "repro"])
    numbered = [row.rstrip() for row in rows if re.match(r"stage \d+ of", row)]
    assert numbered == [f"stage {number} of 8: {name}" for number, name in enumerate(STAGES, 1)]
    bars = [row for row in rows if "━" in row]
    for title in ("2/8 feature network ", "3/8 dcgan-100-0 ", "5/8 real-100-0 ", "6/8 dcgan-100-0 "):
        own = [row for row in bars if row.startswith(title)]
        assert own, title
        assert all(re.search(r" [\d,]+ of [\d,]+ (images|steps), .*\d s left", row) for row in own)
    assert max(cell_len(row) for row in rows if not row.startswith("\tgit add")) <= 80


def test_a_pipe_gets_neither_escape_codes_nor_overwritten_lines(clone):
    done = clone.run("dvc", "repro", "--force", "--single-item", STAGES[2], LABELMINT_TRACKING="off")
    assert done.returncode == 0, done.stderr
    assert f"stage 3 of 8: {STAGES[2]}" in done.stderr.splitlines()
    assert not re.search(r"[\x1b\r]", done.stdout + done.stderr)
