"""Many runs in a row in one process, as `labelmint serve` has them; and many callers, images, classes and arms at once."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.chaos.workspace import Workspace
from tests.pipeline.tiny_project import TinyProject
from tests.servers import surroundings

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
    state = pipeline(force=True, return_state=True)
    assert state.is_completed(), state.message
    gc.collect()
    told = {"run": number, "megabytes": own.memory_info().rss / 1e6, "descriptors": own.num_fds(), "threads": own.num_threads(),
            "children": len(own.children(recursive=True)), "temporary": sum(1 for _ in Path(os.environ["TMPDIR"]).rglob("*"))}
    print("SOAK " + json.dumps(told), flush=True)
"""
_MOST_MEGABYTES_A_RUN = 0.5


def runs(workspace: Workspace, count: int, say=print) -> dict[str, Any]:
    """`count` runs of a flow of six stages, with tracking, each forced. Returns: what was held at the beginning and at the end."""
    folder = workspace.folder.parent / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    project = TinyProject(folder / "project")
    project.tell("train-40", "track")
    environment = surroundings(TMPDIR=str(folder / "tmp"), LABELMINT_SHIPPER_LINGER="2", PREFECT_LOGGING_LEVEL="ERROR")
    process = subprocess.Popen([sys.executable, "-c", _LOOP, str(count)], cwd=project.root, env=environment, stdout=subprocess.PIPE, text=True)  # fmt: skip
    held = []
    for line in process.stdout:
        if line.startswith("SOAK "):
            held.append(json.loads(line[5:]))
            if len(held) % 20 == 0:
                say(f"soak: {held[-1]}")
    code = process.wait()
    time.sleep(15)  # the shipper lingers
    strays = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _within(path, project.root)]
    part = max(1, len(held) // 10)
    first, last = held[part : 2 * part] or held[:1], held[-part:]  # the very first runs import and fill caches
    told = {name: [median(each[name] for each in some) for some in (first, last)] for name in ("megabytes", "descriptors", "threads", "children", "temporary")}  # fmt: skip
    growth = (told["megabytes"][1] - told["megabytes"][0]) / max(1, len(held) - 2 * part)
    ok = code == 0 and len(held) == count and not strays and growth < _MOST_MEGABYTES_A_RUN
    ok &= all(told[name][1] <= told[name][0] + 2 for name in ("descriptors", "threads", "children", "temporary"))
    return {"ok": ok, "runs": len(held), "first_and_last": told, "megabytes_a_run": round(growth, 3), "strays": strays}


def _within(process: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(process / "cwd")).is_relative_to(folder)
    except OSError:
        return False


def load(workspace: Workspace, images: int, callers: int, classes: int, arms: int, say=print) -> dict[str, Any]:
    """The workspace holds a finished run. Returns: seconds, megabytes and sizes of each kind of load."""
    told: dict[str, Any] = {}
    if workspace.finish() != 0:
        return {"ok": False, "said": f"the run before it failed; see {workspace.log}"}
    for name, measure in (
        ("sample", lambda: _sample(workspace, callers)),
        ("import", lambda: _import(workspace, images)),
        ("report", lambda: _report(workspace, classes, arms)),
    ):
        began = time.monotonic()
        told[name] = measure()
        told[name]["seconds"] = round(time.monotonic() - began, 1)
        say(f"{name}: {told[name]}")
    return {"ok": all(each["ok"] for each in told.values()), **told}


def _sample(workspace: Workspace, callers: int) -> dict[str, Any]:
    """All at once, of one generator; every one gives the same bytes."""
    command = ["labelmint", "sample", "dcgan-100-0", "--count", "20", "--format", "tensors", "--workers", "1", "--out"]
    processes = [workspace.start(*command, f"sample-{number}") for number in range(callers)]
    codes = [process.wait() for process in processes]
    folders = [workspace.folder / f"sample-{number}" for number in range(callers)]
    contents = {(folder / "images.npy").read_bytes() for folder in folders if (folder / "images.npy").exists()}
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return {"ok": set(codes) == {0} and len(contents) == 1, "callers": callers}


def _import(workspace: Workspace, images: int) -> dict[str, Any]:
    path = workspace.folder / "many.tar"
    _draw(path, classes=10, per_class=images // 10, size=8)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    code = workspace.finish("labelmint", "import", "many.tar", "--name", "many", "--size", "8", "--force")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    path.unlink()
    (workspace.folder / "data" / "raw" / "many.tar").unlink(missing_ok=True)
    return {"ok": code == 0, "images": images, "peak_megabytes_of_one_process": round(max(before, peak) / 1024)}


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
            classifier={"network": "small_cnn", "steps": 4, "checks": 1, "batch_size": 16},
            feature_network={"steps": 4},
        )
        code = code or workspace.finish("dvc", "repro", "evaluate")
        if code:
            return {"ok": False, "said": workspace.said()[-500:]}
        for percent in range(1, arms + 1):
            _stand_in(workspace.folder / "data", percent)
        workspace.change(percents=list(range(1, arms + 1)))
        code = workspace.finish(sys.executable, "-m", "pipeline.stage", "report")
        page = workspace.folder / "reports" / "index.html"
        return {"ok": code == 0, "classes": classes, "arms": arms, "page_megabytes": round(page.stat().st_size / 1e6, 1) if code == 0 else None}  # fmt: skip
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
