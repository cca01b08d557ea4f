"""Faults of the machine: what a run reports about each, and whether running again ends as without it.

Each function takes a workspace with the outputs of an undisturbed run. It raises subprocess.TimeoutExpired if
a command hangs, which counts as a failure too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.system.chaos.workspace import (
    REPRO,
    TIMEOUT_SECONDS,
    Workspace,
    command_line,
    differences,
    occurs,
    stage_processes,
)

Verdict = dict[str, Any]
"""ok: whether the fault was survived as promised; None if it could not be tried. said: what was reported."""

CLOCK, LIMITS = (Path(__file__).parent / name for name in ("clock", "limits"))
FILE_BYTES = (3000, 100, 0)
MEMORY_BYTES = (16 << 20, 1 << 20, 0)
ARM = "dcgan-100-0"
STAGE = (sys.executable, "-m", "pipeline.stage")


def errors(text: str) -> list[str]:
    """Lines of the output that report an error."""
    return [line for line in text.splitlines() if line.startswith("error: ")]


def ends_the_same(workspace: Workspace, expected: dict[str, str]) -> bool:
    """Whether the pipeline completes with the expected outputs."""
    return workspace.finish() == 0 and not differences(workspace.outputs(), expected)


def disk_full(workspace: Workspace, expected: dict[str, str], stages: Sequence[str] = ()) -> Verdict:
    """No stage can write a file larger than some limit, as on a full disk; then it can.

    The limit decreases until the stage fails: it has written something all the same.

    stages: only these, in a workspace where all stages are done; empty: all.
    """
    if not stages:
        workspace.clear()
    messages: dict[str, str] = {}
    ok = True
    for stage in stages or workspace.stages():
        command = ("dvc", "repro", "--force", "--single-item", stage)
        for limit in FILE_BYTES:
            variables = {"LABELMINT_TRACKING": "off", "CHAOS_FILE_BYTES": str(limit)}
            code, text = workspace.capture(*command, **variables, **injected(workspace, LIMITS))
            if code != 0:
                break
        found = errors(text)
        messages[stage] = f"{limit} bytes a file: {found[0] if found else text[-300:]}"
        ok &= (
            code != 0 and len(found) == 1 and "no space left to write" in found[0] and "Traceback" not in text
        )
        ok &= workspace.finish(*command) == 0
    return {"ok": ok and ends_the_same(workspace, expected), "said": messages}


def injected(workspace: Workspace, folder: Path) -> dict[str, str]:
    """Environment in which every Python process runs the sitecustomize.py of `folder`."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{workspace.folder}"}


def read_only(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """The workspace is read-only for a stage, for `make repro`'s command, and for showing the results."""
    shutil.rmtree(workspace.folder / "data" / "tensors", ignore_errors=True)
    if (reason := _mounted_read_only(workspace, "true")[1]).startswith(("unshare", "mount")):
        return {"ok": None, "said": f"not tried: {reason.strip()}"}
    messages, ok = {}, True
    for command in ((*STAGE, "prepare"), REPRO):
        code, text = _mounted_read_only(workspace, *command)
        found = messages[" ".join(command[1:])] = errors(text)
        ok &= code == 1 and len(found) == 1 and "cannot be written" in found[0] and "Traceback" not in text
    if (workspace.folder / "reports").exists():
        code, text = _mounted_read_only(workspace, "labelmint", "results")
        ok &= code == 0 and "| " in text and "report: " in text and "Traceback" not in text
    return {"ok": ok and ends_the_same(workspace, expected), "said": messages}


def _mounted_read_only(workspace: Workspace, *command: str) -> tuple[int, str]:
    """Run a command in a mount namespace where the workspace is read-only, as its root user if need be."""
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'
    namespace = "-m" if os.geteuid() == 0 else "-rm"
    return workspace.capture("unshare", namespace, "sh", "-c", script, "sh", str(workspace.folder), *command)


def flipped_bits(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """A bit of each kind of file flips.

    Its time does not change, so DVC sees nothing: the reading stage names it.
    """
    if workspace.finish() != 0:
        return {"ok": False, "said": "the run before it failed"}
    verdict = _flipped_checkpoint(workspace, expected)
    messages, ok, flipped = verdict["said"], verdict["ok"], []
    for name, stage in {
        "data/tensors/images.npy": ["train_feature_network"],
        "data/tensors/labels.npy": ["train_generators", ARM],
        "data/tensors/test/images.npy": ["evaluate", ARM],
        "data/feature_network/network.safetensors": ["evaluate", ARM],
        f"data/generators/{ARM}/generator.safetensors": ["synthesize", ARM],
        f"data/synthetic/{ARM}/images.npy": ["train_classifiers", ARM],
        f"data/classifiers/{ARM}/synthetic.safetensors": ["evaluate", ARM],
    }.items():
        path = workspace.folder / name
        if workspace.target and not path.exists():
            continue  # an output of a stage that this run omits
        content = _flip_bit(path)
        code, text = workspace.capture(*STAGE, *stage, LABELMINT_TRACKING="off")
        found = errors(text)
        messages[name] = found[0] if found else text[-300:]
        ok &= code == 2 and len(found) == 1 and name in found[0]
        path.write_bytes(content)  # the next stage needs it
        flipped.append(path)
    for path in flipped:  # as the messages say: delete it, and run again
        path.unlink()
    return {"ok": ok and ends_the_same(workspace, expected), "said": messages}


def _flip_bit(path: Path) -> bytes:
    """Flip one bit of the file. Returns: its former content."""
    content, status = path.read_bytes(), path.stat()
    path.chmod(0o644)
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return content


def _flipped_checkpoint(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """Training is stopped, and a bit flips in all its checkpoints: each is named, and none is used."""
    folder = workspace.folder / ".checkpoints"
    checkpoints: list[Path] = []
    for _ in range(5):  # the few steps are soon done: the signal may come between two replicas
        shutil.rmtree(folder, ignore_errors=True)
        start = workspace.log_size()
        process = _start_training(workspace)
        begun = partial(_has_trained, workspace, process, start)
        occurs(begun, 120, 0.005)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_SECONDS)
        if code == 143 and (checkpoints := sorted(folder.glob("*/*/*.pt"))):
            break
    if not checkpoints:
        return {"ok": False, "said": {".checkpoints": f"there was none; the last exit code was {code}"}}
    for path in checkpoints:
        _flip_bit(path)
    ok, text = _trains(workspace, expected)
    named = [line for line in text.splitlines() if "damaged checkpoint" in line]
    unnamed = [path for path in checkpoints if not any(line.startswith(f"{path}: damaged") for line in named)]
    ok &= not unnamed and "resuming from step" not in text
    return {"ok": ok, "said": {f".checkpoints ({len(checkpoints)})": named[0] if named else text[-300:]}}


def _has_trained(workspace: Workspace, process: subprocess.Popen[bytes], start: int) -> bool:
    """Whether a generator is trained, or the process has ended."""
    return "generators done" in workspace.logged(start) or process.poll() is not None


def clock_jumps(workspace: Workspace, expected: dict[str, str], stages: Sequence[str] = ()) -> Verdict:
    """Every process's clock jumps by up to a day, in both directions, at each reading.

    stages: only these, in a workspace where all stages are done; empty: all.
    """
    if not stages:
        workspace.clear()
    commands: list[tuple[str, ...]] = [(*REPRO, "--force", "--single-item", stage) for stage in stages]
    commands = commands or [workspace.run_command]
    codes = [workspace.finish(*command, **injected(workspace, CLOCK)) for command in commands]
    same = ends_the_same(workspace, expected) if stages else not differences(workspace.outputs(), expected)
    return {"ok": not any(codes) and same, "said": f"exit codes {codes}"}


def two_at_once(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """Two `make repro` in one workspace: the second ends with a message, and the first is not disturbed."""
    workspace.clear()
    first = workspace.start(*workspace.run_command)
    started = occurs((workspace.folder / ".dvc" / "tmp" / "labelmint.lock").exists, 30)
    code_of_second, text = workspace.capture(*workspace.run_command)
    first_runs = first.poll() is None
    code = first.wait(TIMEOUT_SECONDS)
    found = errors(text)
    ok = started and first_runs and code == 0 and code_of_second == 2
    ok &= len(found) == 1 and "another run is in progress" in found[0]
    return {"ok": ok and not differences(workspace.outputs(), expected), "said": found}


def worker_death(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """The system kills one worker of a stage, as it does when memory is short."""
    start = workspace.log_size()
    process = _start_training(workspace)
    hit = occurs(partial(_kill_worker, workspace), 120, 0.05)
    code = process.wait(TIMEOUT_SECONDS)
    found = errors(workspace.logged(start))
    ok = hit and code == 1 and len(found) == 1 and "a worker process died (out of memory?)" in found[0]
    ok &= _trains(workspace, expected)[0]
    return {"ok": ok and ends_the_same(workspace, expected), "said": found}


def out_of_memory(workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """One worker of a stage, which trains some of the replicas, cannot allocate more memory."""
    ok = False
    for limit in MEMORY_BYTES:
        start = workspace.log_size()
        process = _start_training(workspace, CHAOS_MEMORY_BYTES=str(limit), **injected(workspace, LIMITS))
        code = process.wait(TIMEOUT_SECONDS)
        found = errors(workspace.logged(start))
        if code != 0:
            ok = code == 1 and len(found) == 1 and "out of memory" in found[0]
            break
    ok &= _trains(workspace, expected)[0]
    return {"ok": ok and ends_the_same(workspace, expected), "said": f"{limit:,} bytes more: {found}"}


def _start_training(workspace: Workspace, **environment: str) -> subprocess.Popen[bytes]:
    """Train the generators of one arm from the start."""
    shutil.rmtree(workspace.folder / "data" / "generators" / ARM, ignore_errors=True)
    return workspace.start(*STAGE, "train_generators", ARM, LABELMINT_TRACKING="off", **environment)


def _trains(workspace: Workspace, expected: dict[str, str]) -> tuple[bool, str]:
    """Whether training completes with the same weights, and its output. DVC would restore them instead."""
    code, text = workspace.capture(*STAGE, "train_generators", ARM, LABELMINT_TRACKING="off")
    same = not any("generators" in name for name in differences(workspace.outputs(), expected))
    return code == 0 and same, text


def _kill_worker(workspace: Workspace) -> bool:
    for each in stage_processes(workspace):
        with suppress(psutil.Error):
            parent = each.parent()
            if parent is not None and "pipeline.stage" in command_line(parent):
                each.kill()
                return True
    return False
