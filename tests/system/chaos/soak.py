"""Many runs in a row in one process, as `labelmint serve` has them; and many callers, images, classes and arms at once."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from tests.system.chaos.workspace import SECONDS, Workspace, until
from tests.system.tiny_project import TinyProject
from tests.system.servers import surroundings

# Stages of a moment each: what grows is the flow, DVC's process and tracking, not training.
_LOOP = """\
import gc, json, os, sys
from pathlib import Path
from pipeline import servers, surroundings
root = Path.cwd()
surroundings.prepare(root)
server = servers.Temporary(root)
import psutil
from pipeline.flow import pipeline
server.wait()
own = psutil.Process()
for number in range(int(sys.argv[1])):
    state = pipeline(force=True, targets=sys.argv[2:], return_state=True)
    assert state.is_completed(), state.message
    gc.collect()
    files = {f"files in {name}": sum(each.is_file() for each in (root / name).rglob("*")) for name in (".dvc/tmp", ".tracking", ".servers")}
    written = sum(each.stat().st_size for each in (root / ".servers").rglob("*") if each.is_file()) / 1e6
    told = {"run": number, **files, "megabytes of .servers": written, "megabytes": own.memory_info().rss / 1e6, "descriptors": own.num_fds(), "threads": own.num_threads(),
            "children": len(own.children(recursive=True)), "temporary": sum(1 for _ in Path(os.environ["TMPDIR"]).rglob("*"))}
    print("SOAK " + json.dumps(told), flush=True)
"""
_NUMBERS = (
    "descriptors",
    "threads",
    "children",
    "temporary",
    "files in .dvc/tmp",
    "files in .tracking",
    "files in .servers",
)
_MEGABYTES_AT_ALL, _MEGABYTES_A_RUN = 10, 0.05  # caches that fill, and noise; what is left of a run
_FEW = {"files in .tracking": 60}  # the spools of a run or two, which the shipper has yet to take
_HISTORY_MEGABYTES_A_RUN = 0.5  # Prefect keeps the records and logs of every run


def runs(workspace: Workspace, count: int, say=print, targets: Sequence[str] = ()) -> dict[str, Any]:
    """`count` runs of a flow of six stages (or of those that lead to `targets`), with tracking, each forced. Returns: what was held at the beginning and at the end."""
    folder = workspace.folder.parent / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    project = TinyProject(folder / "project")
    project.tell("train-40", "track")
    environment = surroundings(TMPDIR=str(folder / "tmp"), LABELMINT_SHIPPER_LINGER="2", PREFECT_LOGGING_LEVEL="ERROR")
    process = subprocess.Popen([sys.executable, "-c", _LOOP, str(count), *targets], cwd=project.root, env=environment, stdout=subprocess.PIPE, text=True)  # fmt: skip
    held = []
    for line in process.stdout:
        if line.startswith("SOAK "):
            held.append(json.loads(line[5:]))
            if len(held) % 20 == 0:
                say(f"soak: {held[-1]}")
    code = process.wait(SECONDS)
    until(lambda: not _strays(project.root), 60)  # the shipper lingers
    strays = _strays(project.root)
    unshipped = len(list((project.root / ".tracking").glob("*/run.json")))
    part = max(1, len(held) // 10)
    first, last = held[part : 2 * part] or held[:1], held[-part:]  # the very first runs import and fill caches
    told = {name: [median(each[name] for each in some) for some in (first, last)] for name in ("megabytes", "megabytes of .servers", *_NUMBERS)}  # fmt: skip
    between = max(1, len(held) - 2 * part)
    growth, history = (told[name][1] - told[name][0] for name in ("megabytes", "megabytes of .servers"))
    ok = code == 0 and len(held) == count and not strays and not unshipped
    ok &= growth < _MEGABYTES_AT_ALL + _MEGABYTES_A_RUN * between
    ok &= history < _MEGABYTES_AT_ALL + _HISTORY_MEGABYTES_A_RUN * between
    ok &= all(told[name][1] <= told[name][0] + _FEW.get(name, 2) for name in _NUMBERS)
    return {"ok": ok, "runs": len(held), "first_and_last": told, "megabytes_a_run": round(growth / between, 3), "strays": strays, "unshipped": unshipped}  # fmt: skip


def _strays(folder: Path) -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _within(path, folder)]


def _within(process: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(process / "cwd")).is_relative_to(folder)
    except OSError:
        return False


# Generous: for a machine of two cores that others use too.
_MOST_SECONDS_A_CALLER, _MOST_IMAGES_SECONDS, _MOST_SECONDS_A_CELL = 60.0, 0.02, 0.1
_START_SECONDS = 120.0
_IMPORT_MEGABYTES, _REPORT_MEGABYTES = 1500, 3000  # of one process
_PAGE_MEGABYTES = 8.0


def load(workspace: Workspace, images: int, callers: int, classes: int, arms: int, say=print) -> dict[str, Any]:
    """arms: 0 leaves the report out. Returns: seconds, megabytes and sizes of each kind of load."""
    told: dict[str, Any] = {}
    if workspace.finish() != 0:
        return {"ok": False, "said": f"the run before it failed; see {workspace.log}"}
    for name, measure, most in (
        ("sample", lambda: _sample(workspace, callers), _MOST_SECONDS_A_CALLER * callers),
        ("import", lambda: _import(workspace, images), _MOST_IMAGES_SECONDS * images),
        ("report", lambda: _report(workspace, classes, arms), _MOST_SECONDS_A_CELL * classes * arms),
    ):
        if name == "report" and not arms:
            continue
        began = time.monotonic()
        told[name] = measure()
        seconds = told[name].pop("seconds", time.monotonic() - began)
        told[name] |= {"seconds": round(seconds, 1), "most_seconds": round(most + _START_SECONDS)}
        told[name]["ok"] &= seconds < most + _START_SECONDS
        say(f"{name}: {told[name]}")
    return {"ok": all(each["ok"] for each in told.values()), **told}


def _sample(workspace: Workspace, callers: int) -> dict[str, Any]:
    """All at once, of one generator; every one gives the same bytes."""
    command = ["labelmint", "sample", "dcgan-100-0", "--count", "20", "--format", "tensors", "--workers", "1", "--out"]
    processes = [workspace.start(*command, f"sample-{number}") for number in range(callers)]
    codes = [process.wait(SECONDS) for process in processes]
    folders = [workspace.folder / f"sample-{number}" for number in range(callers)]
    contents = {(folder / "images.npy").read_bytes() for folder in folders if (folder / "images.npy").exists()}
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return {"ok": set(codes) == {0} and len(contents) == 1, "callers": callers}


def _import(workspace: Workspace, images: int) -> dict[str, Any]:
    path = workspace.folder / "many.tar"
    _draw(path, classes=10, per_class=images // 10, size=8)
    process = workspace.start("labelmint", "import", "many.tar", "--name", "many", "--size", "8", "--force")
    code, peak = _peak(process)
    path.unlink()
    (workspace.folder / "data" / "raw" / "many.tar").unlink(missing_ok=True)
    (workspace.folder / "experiments" / "many.yaml").unlink(missing_ok=True)
    return {
        "ok": code == 0 and peak < _IMPORT_MEGABYTES,
        "images": images,
        "peak_megabytes_of_one_process": round(peak),
    }


def _peak(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """(exit code, the most megabytes that one of its processes held) of a command, as it is seen every tenth of a second."""
    own, peak = psutil.Process(process.pid), 0.0
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(psutil.Error):
            peak = max(peak, *(each.memory_info().rss / 1e6 for each in (own, *own.children(recursive=True))))
        time.sleep(0.1)
    return process.wait(1), peak


def _draw(path: Path, classes: int, per_class: int, size: int) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        for label in range(classes):
            for number in range(per_class):
                buffer = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(
                    buffer, "PNG", compress_level=0
                )
                entry = tarfile.TarInfo(f"class {label:03d}/{number}.png")
                entry.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(entry, buffer)


def _report(workspace: Workspace, classes: int, arms: int) -> dict[str, Any]:
    """One arm is trained on `classes` classes, and stands in for all."""
    _draw(workspace.folder / "classes.tar", classes, 8, 8)
    kept = (workspace.folder / "params.yaml").read_bytes()
    try:
        code = workspace.finish("labelmint", "import", "classes.tar", "--name", "classes", "--size", "8", "--force")
        code = code or workspace.finish("labelmint", "use", "classes")
        workspace.change(
            percents=[100],
            training={"epochs": 1, "images_per_epoch": 8, "batch_size": 4},
            synthesis={"images_per_class": 4},
            classifier={"network": "small_cnn", "steps": 4, "evaluations": 1, "batch_size": 16},
            feature_network={"steps": 4},
        )
        code = code or workspace.finish("dvc", "repro", "evaluate")
        if code:
            return {"ok": False, "said": workspace.said()[-500:]}
        for percent in range(1, arms + 1):
            _stand_in(workspace.folder / "data", percent)
        workspace.change(percents=list(range(1, arms + 1)))
        began = time.monotonic()
        code, peak = _peak(workspace.start(sys.executable, "-m", "pipeline.stage", "report"))
        seconds, page = time.monotonic() - began, workspace.folder / "reports" / "index.html"
        size = page.stat().st_size / 1e6 if code == 0 else None
        good = size is not None and size < _PAGE_MEGABYTES and peak < _REPORT_MEGABYTES
        return {"ok": good, "classes": classes, "arms": arms, "seconds": seconds, "page_megabytes": size and round(size, 1), "peak_megabytes": round(peak)}  # fmt: skip
    finally:
        (workspace.folder / "params.yaml").write_bytes(kept)
        workspace.clear()


def _stand_in(data: Path, percent: int) -> None:
    """Everything of the arms of 100 %, for another percent."""
    for path in [*data.glob("*/*-100-0*"), *data.glob("timings/*/*-100-0*")]:
        target = path.with_name(path.name.replace("-100-0", f"-{percent}-0"))
        if path == target or target.exists():
            continue
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
    measures = data / "metrics" / f"dcgan-{percent}-0.json"
    content = json.loads(measures.read_text())
    for row in content["rows"]:
        row["percent"] = percent
    measures.write_text(json.dumps(content))
