"""The command and the stages as processes: exit codes, completion, colours, limits of the system."""

from __future__ import annotations

import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.command import labelmint
from tests.conftest import ROOT, SHARED

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
CONSOLE_SCRIPT = Path(sys.executable).parent / "labelmint"


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", [[CONSOLE_SCRIPT], [sys.executable, "-m", "labelmint"]])
def test_the_script_and_the_module_are_the_command(checkout, command):
    done = run(checkout, *command, "use", "mnist_quik")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no experiment 'mnist_quik'; did you mean 'mnist_quick' or 'mnist'?")
    assert done.stderr.count("\n") == 1


def test_another_checkout_uses_its_own_code(checkout):
    """The environment's installed package is that of this checkout."""
    for name in ("labelmint", "stages", "pipeline"):
        (checkout / name).symlink_to(ROOT / name)
    code = (
        "import sys, labelmint.__main__ as entry; sys.argv = ['labelmint', 'check']\n"
        "try: entry.main()\n"
        "finally: print(sys.modules['labelmint'].__file__, sys.modules['pipeline'].__file__)"
    )
    done = run(checkout, sys.executable, "-c", code)
    assert done.stdout.split() == [str(checkout / name / "__init__.py") for name in ("labelmint", "pipeline")]


def test_sigterm_ends_a_command_with_143(checkout):
    pipe = checkout / "experiments" / "slow.yaml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [CONSOLE_SCRIPT, "use", "slow"], cwd=checkout, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )

    def give_up() -> None:
        process.kill()
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # lets the test go on, and fail

    timer = threading.Timer(120, give_up)
    timer.start()
    try:
        with pipe.open("w"):  # opens when the command opens the pipe; the command reads until it is closed
            process.send_signal(signal.SIGTERM)
            _, text = process.communicate(timeout=60)
    finally:
        timer.cancel()
        process.kill()
    assert (process.returncode, text) == (143, "error: terminated; run again to continue\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("labelmint ex", ["expand", "experiments"]),
        ("labelmint use mnist_re", ["mnist_report", "mnist_report_small"]),
        ("labelmint run --experiment best_m", ["best_mnist"]),
        ("labelmint params training.ep", ["training.epochs"]),
        ("labelmint sample dc", ["dcgan-40-0"]),
    ],
)
def test_the_shell_completes_commands_and_names(checkout, line, offered):
    (checkout / "data" / "generators" / "dcgan-40-0").mkdir(parents=True)
    (checkout / "data" / "generators" / "dcgan-40-0" / "architecture.json").write_text("{}")
    asked = {
        "_LABELMINT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    assert sorted(run(checkout, CONSOLE_SCRIPT, **asked).stdout.split()) == offered


@pytest.mark.parametrize("arguments", [["doctor"], ["--help"], ["experimens"]])
def test_a_terminal_shows_no_colour_if_the_user_wants_none(checkout, arguments):
    assert b"\x1b[" in _on_a_terminal(checkout, ["--help"])
    assert not re.search(rb"\x1b\[[\d;]*3\d", _on_a_terminal(checkout, arguments, NO_COLOR="1"))


def _on_a_terminal(folder: Path, arguments: list[str], **environment: str) -> bytes:
    leader, follower = pty.openpty()
    inherited = {
        name: value for name, value in ENVIRONMENT.items() if name not in ("NO_COLOR", "FORCE_COLOR")
    }
    process = subprocess.Popen(
        [CONSOLE_SCRIPT, *arguments],
        cwd=folder,
        env={**inherited, "TERM": "xterm-256color", **environment},
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    output = b""
    try:
        while part := os.read(leader, 4096):
            output += part
    except OSError:  # how Linux ends a terminal
        pass
    os.close(leader)
    process.wait(60)
    return output


def test_a_write_that_the_system_cuts_short_leaves_nothing(project):
    """The kernel limits the size of images.npy; the next run, without a limit, succeeds."""
    command = [sys.executable, "-m", "pipeline.stage", "prepare"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    short = subprocess.run(
        command, cwd=project, env=ENVIRONMENT, capture_output=True, text=True, preexec_fn=limit
    )
    path = project / "data/.prepare/train/images.npy"
    assert short.returncode == 1 and "Traceback" not in short.stderr, short.stderr
    # On a slow machine lines of progress come before it, and one of MLflow's database, too, after it.
    errors = [line for line in short.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith(f"error: prepare: {path}: no space left to write")
    assert not list((project / "data").iterdir())
    assert subprocess.run(command, cwd=project, env=ENVIRONMENT, capture_output=True).returncode == 0
    assert (project / "data" / "tensors" / "images.npy").exists()


def test_real_photographs_are_imported(checkout):
    """Three classes of CIFAR-10, as a user may keep them."""
    archive = SHARED / "cifar10-images.tar"
    if not archive.exists():
        pytest.skip(f"{archive} does not exist; set LABELMINT_TEST_DATA")
    with tarfile.open(archive) as tar:
        for entry in tar:
            part, label, name = (entry.name.split("/") + ["", ""])[:3]
            if (
                entry.isfile()
                and part == "train"
                and label in ("bird", "frog", "ship")
                and int(name[:-4]) < 500
            ):
                (checkout / "photos" / label).mkdir(parents=True, exist_ok=True)
                file = tar.extractfile(entry)
                assert file is not None
                (checkout / "photos" / label / name).write_bytes(file.read())
    done = labelmint(checkout, "import", "photos", "--name", "animals")
    assert "animals: 1,500 images in 3 classes (bird 500, frog 500, ship 500), colour" in done.out, done.err
