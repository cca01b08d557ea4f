"""One fault each: what the machine does to a run, what is said of it, and whether running again ends as if nothing had been."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.workspace import REPRO, Workspace, differences, kill, until
from tests.servers import Pages

Verdict = dict[str, Any]
"""ok: whether it was survived as promised. said: the line, where there is one."""

FULL_BYTES = 3000
CLOCK = Path(__file__).parent / "clock"


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


def ends_the_same(workspace: Workspace, wanted: dict[str, str]) -> bool:
    return workspace.finish() == 0 and not differences(workspace.outcome(), wanted)


def disk_full(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Every stage in turn may write no file larger than 3,000 bytes, as on a full disk; then it may."""
    workspace.clear()
    stages = _stages(workspace)
    said: dict[str, str] = {}
    good = True
    for stage in stages:
        since = workspace.mark()
        process = workspace.start("dvc", "repro", "--single-item", stage, LABELMINT_TRACKING="off")
        until(lambda process=process: _limit(workspace) or process.poll() is not None, 120, 0.01)
        code = process.wait()
        told = errors(workspace.said(since))
        said[stage] = told[0] if told else "wrote nothing large"
        good &= code == 0 or bool(told and "no space left to write" in told[0])
        good &= workspace.finish("dvc", "repro", "--single-item", stage) == 0
    return {"ok": good and not differences(workspace.outcome(), wanted), "said": said}


def _limit(workspace: Workspace) -> bool:
    """Once the stage's process is there. Python has SIGXFSZ ignored, so that writing raises."""
    found = [each for each in workspace.processes() if "pipeline.stage" in _line(each)]
    for each in found:
        with suppress(ProcessLookupError, psutil.Error):
            resource.prlimit(each.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))
    return bool(found)


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _stages(workspace: Workspace) -> list[str]:
    """In the order of dvc.yaml, where what is needed comes first."""
    command = ["dvc", "stage", "list", "--name-only"]
    done = subprocess.run(command, cwd=workspace.folder, env=workspace.environment(), capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.split()


def read_only(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """The workspace is mounted read-only for one try."""
    shutil.rmtree(workspace.folder / "data" / "tensors", ignore_errors=True)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(workspace.folder), sys.executable, "-m", "pipeline.stage", "prepare"]  # fmt: skip
    done = subprocess.run(command, env=workspace.environment(), capture_output=True, text=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        return {"ok": True, "said": f"not tried: {done.stderr.strip()}"}
    told = errors(done.stderr)
    good = done.returncode == 1 and len(told) == 1 and "cannot be written" in told[0] and "Traceback" not in done.stderr
    return {"ok": good and ends_the_same(workspace, wanted), "said": told}


def flipped_bits(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """A bit of each kind of file flips, its time does not, so that DVC sees nothing: the stage that reads it names it."""
    if workspace.finish() != 0:
        return {"ok": False, "said": "the run before it failed"}
    arm = "dcgan-100-0"
    said, good = {}, True
    for name, stage in {
        "data/tensors/images.npy": ["train_feature_network"],
        "data/tensors/labels.npy": ["train_generators", arm],
        "data/tensors/test/images.npy": ["evaluate", arm],
        "data/feature_network/network.safetensors": ["evaluate", arm],
        f"data/generators/{arm}/generator.safetensors": ["synthesize", arm],
        f"data/synthetic/{arm}/images.npy": ["train_classifiers", arm],
        f"data/classifiers/{arm}/synthetic.safetensors": ["evaluate", arm],
    }.items():
        path = workspace.folder / name
        kept, facts = path.read_bytes(), path.stat()
        path.chmod(0o644)
        path.write_bytes(kept[:-9] + bytes([kept[-9] ^ 4]) + kept[-8:])
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        done = subprocess.run([sys.executable, "-m", "pipeline.stage", *stage], cwd=workspace.folder, env=workspace.environment(LABELMINT_TRACKING="off"), capture_output=True, text=True)  # fmt: skip
        told = errors(done.stderr)
        said[name] = told[0] if told else done.stderr[-300:]
        good &= done.returncode == 2 and len(told) == 1 and name in told[0]
        # What the line says to do: delete it (or its folder), and run again.
        path.unlink()
    return {"ok": good and ends_the_same(workspace, wanted), "said": said}


def clock_jumps(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Every process's clock jumps by up to a day, both ways, at each reading."""
    workspace.clear()
    code = workspace.finish("dvc", "repro", PYTHONPATH=f"{CLOCK}{os.pathsep}{workspace.folder}")
    return {"ok": code == 0 and not differences(workspace.outcome(), wanted), "said": ""}


def two_at_once(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Two `make repro` in one workspace, by what it starts: the second leaves with a line, the first is not disturbed."""
    workspace.clear()
    first = workspace.start(*REPRO)
    until(lambda: (workspace.folder / ".dvc" / "tmp" / "labelmint.lock").exists(), 30)
    done = subprocess.run(REPRO, cwd=workspace.folder, env=workspace.environment(), capture_output=True, text=True)
    code = first.wait()
    told = errors(done.stderr)
    good = code == 0 and done.returncode == 2 and len(told) == 1 and "another run is at work" in told[0]
    return {"ok": good and not differences(workspace.outcome(), wanted), "said": told}


def out_of_memory(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """The system kills one worker of a stage, as it does when memory is short."""
    shutil.rmtree(workspace.folder / "data" / "generators", ignore_errors=True)
    since = workspace.mark()
    process = workspace.start("dvc", "repro", "--force", "--single-item", "train_generators@dcgan-100-0")
    hit = until(lambda: _kill_worker(workspace), 120, 0.05)
    code = process.wait()
    told = errors(workspace.said(since))
    good = hit and code != 0 and bool(told) and "a worker process died (out of memory?)" in told[0]
    return {"ok": good and ends_the_same(workspace, wanted), "said": told}


def _kill_worker(workspace: Workspace) -> bool:
    for each in workspace.processes():
        with suppress(psutil.Error):
            if "pipeline.stage" in _line(each) and "pipeline.stage" in _line(each.parent()):
                each.kill()
                return True
    return False


def server_deaths(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """Prefect's and MLflow's servers are killed while `labelmint run` works. Then `labelmint run` without them."""
    workspace.clear()
    said, good = {}, True
    for victim in ("mlflow", "prefect"):
        pages = Pages(workspace.folder)
        since = workspace.mark()
        process = workspace.start("labelmint", "run", MLFLOW_TRACKING_URI=pages.mlflow, PREFECT_API_URL=f"{pages.prefect}/api")  # fmt: skip
        until(lambda: any("pipeline.stage" in _line(each) for each in workspace.processes()), 180)
        family = [each for each in psutil.Process(pages.process.pid).children(recursive=True) if f" {victim} " in " ".join(_line(each))]  # fmt: skip
        kill(family)
        code = process.wait()
        pages.process.send_signal(signal.SIGINT)
        pages.process.wait(90)
        lines = errors(workspace.said(since))
        said[victim] = f"exit code {code}: {lines[-1][:300] if lines else 'ran on to its end'}"
        # MLflow's absence changes nothing. Without Prefect's server the flow cannot go on, but says so.
        good &= code == 0 if victim == "mlflow" else code in (0, 1)
        good &= not [each for each in workspace.processes() if "pipeline.stage" in _line(each)]
    code = workspace.finish("labelmint", "run")
    return {"ok": good and code == 0 and not differences(workspace.outcome(), wanted), "said": said}


def dask_worker_death(workspace: Workspace, wanted: dict[str, str]) -> Verdict:
    """A Dask worker is killed while a stage runs there."""
    workspace.clear()
    since = workspace.mark()
    process = workspace.start("labelmint", "run", "--runner", "dask")
    until(lambda: any("pipeline.stage" in _line(each) for each in workspace.processes()), 240)
    workers = [each for each in workspace.processes() if "multiprocessing.spawn" in " ".join(_line(each)) or "distributed.cli.dask_worker" in " ".join(_line(each))]  # fmt: skip
    kill(workers[:1])
    code = process.wait()
    lines = errors(workspace.said(since))
    done = workspace.finish("labelmint", "run")
    return {
        "ok": bool(workers) and done == 0 and not differences(workspace.outcome(), wanted),
        "said": f"exit code {code}: {lines[-1][:300] if lines else 'Dask ran it again'}",
    }


FAULTS: dict[str, Callable[[Workspace, dict[str, str]], Verdict]] = {
    each.__name__: each
    for each in (disk_full, read_only, flipped_bits, clock_jumps, two_at_once, out_of_memory, server_deaths, dask_worker_death)
}  # fmt: skip
