"""One fault each: what the machine does to a run, what is said of it, and whether running again ends as if nothing had been.

Each takes a workspace with the outcome of an undisturbed run, and raises subprocess.TimeoutExpired where something hangs, which is no
survival either.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pipeline.flow.prefect_environment import answers
from tests.system.chaos.workspace import REPRO, SECONDS, Workspace, differences, kill, until
from tests.system.servers import UiServers

Verdict = dict[str, Any]
"""ok: whether it was survived as promised; None where it could not be tried. said: the line, where there is one."""

CLOCK, LIMITS = (Path(__file__).parent / name for name in ("clock", "limits"))
FILE_BYTES = (3000, 100, 0)
MEMORY_BYTES = (16 << 20, 1 << 20, 0)
ARM = "dcgan-100-0"
STAGE = (sys.executable, "-m", "pipeline.stage")


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


def ends_the_same(workspace: Workspace, wanted: dict[str, str]) -> bool:
    return workspace.finish() == 0 and not differences(workspace.outcome(), wanted)


def disk_full(workspace: Workspace, wanted: dict[str, str], stages: Sequence[str] = ()) -> Verdict:
    """Every stage (or each of `stages`, in a workspace where all is done) may write no file larger than so many bytes, as on a full
    disk; then it may.

    The limit falls until the stage fails of it: it has written something all the same.
    """
    if not stages:
        workspace.clear()
    said: dict[str, str] = {}
    good = True
    for stage in stages or workspace.stages():
        told: list[str] = []
        for most in FILE_BYTES:
            code, text = workspace.tell("dvc", "repro", "--force", "--single-item", stage, LABELMINT_TRACKING="off", CHAOS_FILE_BYTES=str(most), **before(workspace, LIMITS))  # fmt: skip
            told = errors(text)
            if code != 0:
                break
        said[stage] = f"{most} bytes a file: {told[0] if told else text[-300:]}"
        good &= code != 0 and len(told) == 1 and "no space left to write" in told[0] and "Traceback" not in text
        good &= workspace.finish("dvc", "repro", "--force", "--single-item", stage) == 0
    return {"ok": good and ends_the_same(workspace, wanted), "said": said}


def before(workspace: Workspace, folder: Path) -> dict[str, str]:
    """The sitecustomize.py of `folder` is run in every process."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{workspace.folder}"}


def read_only(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """The workspace is mounted read-only for one try of a stage, of what `make repro` starts, and of showing its results."""
    shutil.rmtree(workspace.folder / "data" / "tensors", ignore_errors=True)
    if (why := _mounted(workspace, "true")[1]).startswith(("unshare", "mount")):
        return {"ok": None, "said": f"not tried: {why.strip()}"}
    said, good = {}, True
    for command in ((*STAGE, "prepare"), REPRO):
        code, text = _mounted(workspace, *command)
        told = said[" ".join(command[1:])] = errors(text)
        good &= code == 1 and len(told) == 1 and "cannot be written" in told[0] and "Traceback" not in text
    if (workspace.folder / "reports").exists():
        code, text = _mounted(workspace, "labelmint", "results")
        good &= code == 0 and "| " in text and "report: " in text and "Traceback" not in text
    return {"ok": good and ends_the_same(workspace, wanted), "said": said}


def _mounted(workspace: Workspace, *command: str) -> tuple[int, str]:
    """Root mounts in a name space of its own; others in one where they are root."""
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'
    space = "-m" if os.geteuid() == 0 else "-rm"
    return workspace.tell("unshare", space, "sh", "-c", script, "sh", str(workspace.folder), *command)


def flipped_bits(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """A bit of each kind of file flips, its time does not, so that DVC sees nothing: the stage that reads it names it."""
    if workspace.finish() != 0:
        return {"ok": False, "said": "the run before it failed"}
    verdict = _flipped_checkpoint(workspace, wanted)
    said, good, flipped = verdict["said"], verdict["ok"], []
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
            continue  # of a stage that this run leaves out
        kept = _flip(path)
        code, text = workspace.tell(*STAGE, *stage, LABELMINT_TRACKING="off")
        told = errors(text)
        said[name] = told[0] if told else text[-300:]
        good &= code == 2 and len(told) == 1 and name in told[0]
        path.write_bytes(kept)  # what the next one needs
        flipped.append(path)
    for path in flipped:  # what the lines say to do: delete it, and run again
        path.unlink()
    return {"ok": good and ends_the_same(workspace, wanted), "said": said}


def _flip(path: Path) -> bytes:
    """Returns: what it held before."""
    content, facts = path.read_bytes(), path.stat()
    path.chmod(0o644)
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return content


def _flipped_checkpoint(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Training is stopped, a bit flips in every checkpoint that it left, and it goes on: each is named, and none is used."""
    folder = workspace.folder / ".checkpoints"
    left: list[Path] = []
    for _ in range(5):  # few steps are soon done: a signal may come between two replicas, when nothing is under way
        shutil.rmtree(folder, ignore_errors=True)
        since = workspace.mark()
        process = _training(workspace)
        until(lambda since=since, process=process: "generators done" in workspace.said(since) or process.poll() is not None, 120, 0.005)  # fmt: skip
        process.send_signal(signal.SIGTERM)
        code = process.wait(SECONDS)
        if code == 143 and (left := sorted(folder.glob("*/*/*.pt"))):
            break
    if not left:
        return {"ok": False, "said": {".checkpoints": f"none was left; the last exit code was {code}"}}
    for path in left:
        _flip(path)
    good, text = _trains(workspace, wanted)
    named = [line for line in text.splitlines() if "damaged checkpoint" in line]
    unnamed = [str(path) for path in left if not any(line.startswith(f"{path}: damaged checkpoint") for line in named)]
    good &= not unnamed and "resuming from step" not in text
    return {"ok": good, "said": {f".checkpoints ({len(left)})": named[0] if named else text[-300:]}}


def clock_jumps(workspace: Workspace, wanted: dict[str, str], stages: Sequence[str] = ()) -> Verdict:
    """Every process's clock jumps by up to a day, both ways, at each reading. stages: these alone, in a workspace where all is done."""
    if not stages:
        workspace.clear()
    commands = [(*REPRO, "--force", "--single-item", stage) for stage in stages] or [workspace.repro]
    codes = [workspace.finish(*command, **before(workspace, CLOCK)) for command in commands]
    same = ends_the_same(workspace, wanted) if stages else not differences(workspace.outcome(), wanted)
    return {"ok": not any(codes) and same, "said": f"exit codes {codes}"}


def two_at_once(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Two `make repro` in one workspace, by what it starts: the second leaves with a line, the first is not disturbed."""
    workspace.clear()
    first = workspace.start(*workspace.repro)
    met = until(lambda: (workspace.folder / ".dvc" / "tmp" / "labelmint.lock").exists(), 30)
    second, text = workspace.tell(*workspace.repro)
    alive = first.poll() is None
    code = first.wait(SECONDS)
    told = errors(text)
    good = met and alive and code == 0 and second == 2 and len(told) == 1 and "another run is at work" in told[0]
    return {"ok": good and not differences(workspace.outcome(), wanted), "said": told}


def worker_death(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """The system kills one worker of a stage, as it does when memory is short."""
    since = workspace.mark()
    process = _training(workspace)
    hit = until(lambda: _kill_worker(workspace), 120, 0.05)
    code = process.wait(SECONDS)
    told = errors(workspace.said(since))
    good = hit and code == 1 and len(told) == 1 and "a worker process died (out of memory?)" in told[0]
    good &= _trains(workspace, wanted)[0]
    return {"ok": good and ends_the_same(workspace, wanted), "said": told}


def out_of_memory(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """One worker of a stage, which trains some of the replicas, can get no more memory."""
    good = False
    for most in MEMORY_BYTES:
        since = workspace.mark()
        process = _training(workspace, CHAOS_MEMORY_BYTES=str(most), **before(workspace, LIMITS))
        code = process.wait(SECONDS)
        told = errors(workspace.said(since))
        if code != 0:
            good = code == 1 and len(told) == 1 and "out of memory" in told[0]
            break
    good &= _trains(workspace, wanted)[0]
    return {"ok": good and ends_the_same(workspace, wanted), "said": f"{most:,} bytes more: {told}"}


def _training(workspace: Workspace, **environment: str) -> subprocess.Popen[bytes]:
    """Of one arm, anew."""
    shutil.rmtree(workspace.folder / "data" / "generators" / ARM, ignore_errors=True)
    return workspace.start(*STAGE, "train_generators", ARM, LABELMINT_TRACKING="off", **environment)


def _trains(workspace: Workspace, wanted: dict[str, str]) -> tuple[bool, str]:
    """Whether it comes through now, to the same weights; and what was printed. DVC would bring them back without training."""
    code, text = workspace.tell(*STAGE, "train_generators", ARM, LABELMINT_TRACKING="off")
    return code == 0 and not any("generators" in name for name in differences(workspace.outcome(), wanted)), text


def _kill_worker(workspace: Workspace) -> bool:
    for each in stage_processes(workspace):
        with suppress(psutil.Error):
            parent = each.parent()
            if parent is not None and "pipeline.stage" in _line(parent):
                each.kill()
                return True
    return False


def stage_processes(workspace: Workspace) -> list[psutil.Process]:
    return [each for each in workspace.processes() if "pipeline.stage" in _line(each)]


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def server_deaths(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """The group of Prefect's server is killed while `labelmint run` works; that of MLflow's; `labelmint ui` with both, which nobody
    starts again. Then `labelmint run` without them."""
    said, good = {}, True
    for victim in ("mlflow", "prefect", "both"):
        workspace.clear()
        ui = UiServers(workspace.folder)
        try:
            since = workspace.mark()
            process = workspace.start("labelmint", "run", MLFLOW_TRACKING_URI=ui.mlflow, PREFECT_API_URL=f"{ui.prefect}/api")  # fmt: skip
            running = until(lambda: bool(stage_processes(workspace)), 300)
            names = ["mlflow", "prefect"] if victim == "both" else [victim]
            groups = [ui.server(name).pid for name in names]  # raises where it is not there
            if victim == "both":
                ui.process.kill()
            for group in groups:
                os.killpg(group, signal.SIGKILL)
            dead = all(until(lambda name=name: not _serves(ui, name), 5, 0.02) for name in names)  # noqa: B023
            code = process.wait(SECONDS)
            back = victim == "both" or until(lambda: _serves(ui, victim), 180)  # noqa: B023
        finally:
            ui.process.send_signal(signal.SIGINT)
            ui.process.wait(90)
        lines = errors(workspace.said(since))
        said[victim] = f"exit code {code}: {lines[-1][:300] if lines else 'ran on to its end'}"
        # MLflow's absence changes nothing. Without Prefect's server the flow may not go on, but says so.
        told = code == 0 or (code == 1 and victim != "mlflow" and bool(lines))
        good &= running and dead and back and told and not stage_processes(workspace)
        good &= workspace.finish("labelmint", "run") == 0 and not differences(workspace.outcome(), wanted)
    return {"ok": good, "said": said}


def _serves(ui: UiServers, name: str) -> bool:
    return answers(f"{ui.mlflow}/health" if name == "mlflow" else f"{ui.prefect}/api/health", 0.5)


def dask_worker_death(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """A Dask worker is killed while a stage runs there."""
    workspace.clear()
    since = workspace.mark()
    process = workspace.start("labelmint", "run", "--runner", "dask")
    running = until(lambda: bool(stage_processes(workspace)), 300)
    workers = [each for each in workspace.processes() if any(name in " ".join(_line(each)) for name in ("multiprocessing.spawn", "distributed.cli.dask_worker"))]  # fmt: skip
    kill(workers[:1])
    code = process.wait(SECONDS)
    lines = errors(workspace.said(since))
    strays = [] if until(lambda: not workspace.processes(), 60) else [" ".join(_line(each)) for each in workspace.processes()]  # fmt: skip
    good = running and bool(workers) and not strays and (code == 0 or (code == 1 and bool(lines)))
    good &= workspace.finish("labelmint", "run") == 0 and not differences(workspace.outcome(), wanted)
    return {"ok": good, "said": f"exit code {code}: {lines[-1][:300] if lines else 'Dask ran it again'}", "strays": strays}  # fmt: skip


FAULTS: dict[str, Callable[[Workspace, dict[str, str]], Verdict]] = {
    each.__name__: each
    for each in (disk_full, read_only, flipped_bits, clock_jumps, two_at_once, worker_death, out_of_memory, server_deaths, dask_worker_death)
}  # fmt: skip
