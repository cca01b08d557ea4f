"""Many runs in a row in one process, as `labelmint serve` could have: nothing may grow with their number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.system.chaos.workspace import TIMEOUT_SECONDS, Workspace, occurs
from tests.system.servers import clean_environment
from tests.system.tiny_project import TinyProject

# The stages take a moment each: the flow, DVC's processes and tracking may grow, not training.
_LOOP = """\
import gc, json, os, sys
from pathlib import Path
from pipeline.flow import prefect_environment
from pipeline.flow.temporary_server import TemporaryServer
root = Path.cwd()
prefect_environment.prepare(root)
server = TemporaryServer(root)
import psutil
from pipeline.flow.flow import pipeline
server.wait()
own = psutil.Process()

def files_in(name):
    return [each for each in (root / name).rglob("*") if each.is_file()]

for number in range(int(sys.argv[1])):
    state = pipeline(force=True, targets=sys.argv[2:], return_state=True)
    assert state.is_completed(), state.message
    gc.collect()
    held = {
        "run": number,
        **{f"files in {name}": len(files_in(name)) for name in (".dvc/tmp", ".tracking", ".servers")},
        "megabytes of .servers": sum(each.stat().st_size for each in files_in(".servers")) / 1e6,
        "megabytes": own.memory_info().rss / 1e6,
        "descriptors": own.num_fds(),
        "threads": own.num_threads(),
        "children": len(own.children(recursive=True)),
        "temporary": sum(1 for _ in Path(os.environ["TMPDIR"]).rglob("*")),
    }
    print("SOAK " + json.dumps(held), flush=True)
"""
_COUNTS = (
    "descriptors",
    "threads",
    "children",
    "temporary",
    "files in .dvc/tmp",
    "files in .tracking",
    "files in .servers",
)
_MEGABYTES, _MEGABYTES_PER_RUN = 10, 0.05  # growth by caches and noise; by what a run leaves
_MAX_GROWTH = {"files in .tracking": 60}  # the spools of a run or two, not shipped yet; of other counts: 2
_HISTORY_MEGABYTES_PER_RUN = 0.5  # Prefect keeps the records and logs of every run


def runs(
    workspace: Workspace, count: int, say: Callable[[str], object] = print, targets: Sequence[str] = ()
) -> dict[str, Any]:
    """Run a flow of six stages `count` times, with tracking, each stage forced.

    targets: only these stages with what they need. Returns: what the process held at the beginning and at the
    end.
    """
    folder = workspace.folder.parent / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    project = TinyProject(folder / "project")
    project.set_behaviour("train-40", "track")
    environment = clean_environment(
        TMPDIR=str(folder / "tmp"), LABELMINT_SHIPPER_LINGER="2", PREFECT_LOGGING_LEVEL="ERROR"
    )
    command = [sys.executable, "-c", _LOOP, str(count), *targets]
    process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=subprocess.PIPE, text=True)
    held = []
    for line in process.stdout or ():
        if line.startswith("SOAK "):
            held.append(json.loads(line[5:]))
            if len(held) % 20 == 0:
                say(f"soak: {held[-1]}")
    code = process.wait(TIMEOUT_SECONDS)
    occurs(lambda: not _processes_in(project.root), 60)  # the shipper lingers
    strays = _processes_in(project.root)
    unshipped = len(list((project.root / ".tracking").glob("*/run.json")))
    part = max(1, len(held) // 10)
    first, last = (
        held[part : 2 * part] or held[:1],
        held[-part:],
    )  # the very first runs import and fill caches
    names = ("megabytes", "megabytes of .servers", *_COUNTS)
    found = {name: [median(each[name] for each in some) for some in (first, last)] for name in names}
    between = max(1, len(held) - 2 * part)
    growth = {name: after - before for name, (before, after) in found.items()}
    ok = code == 0 and len(held) == count and not strays and not unshipped
    ok &= growth["megabytes"] < _MEGABYTES + _MEGABYTES_PER_RUN * between
    ok &= growth["megabytes of .servers"] < _MEGABYTES + _HISTORY_MEGABYTES_PER_RUN * between
    ok &= all(growth[name] <= _MAX_GROWTH.get(name, 2) for name in _COUNTS)
    return {
        "ok": ok,
        "runs": len(held),
        "first_and_last": found,
        "megabytes_a_run": round(growth["megabytes"] / between, 3),
        "strays": strays,
        "unshipped": unshipped,
    }


def _processes_in(folder: Path) -> list[str]:
    """Ids of processes whose current folder is in `folder`."""
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _is_in(path, folder)]


def _is_in(process: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(process / "cwd")).is_relative_to(folder)
    except OSError:
        return False
