"""Load: many callers, images, classes and arms at once."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.system.chaos.workspace import TIMEOUT_SECONDS, Workspace

# Generous: for a machine of two cores that other programs use too.
_SECONDS_PER_CALLER, _SECONDS_PER_IMAGE, _SECONDS_PER_CELL = 60.0, 0.02, 0.1
_START_SECONDS = 120.0
_IMPORT_MEGABYTES, _REPORT_MEGABYTES = 1500, 3000  # of one process
_PAGE_MEGABYTES = 8.0


def measure(  # noqa: PLR0917
    workspace: Workspace,
    images: int,
    callers: int,
    classes: int,
    arms: int,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Put each kind of load on the pipeline's commands.

    Args:
        workspace: Where they run.
        images: Number of images to import.
        callers: Number of concurrent `labelmint sample`.
        classes: Number of classes in the report.
        arms: Number of arms in the report; 0: no report.
        say: Receives a line of progress per kind.

    Returns: seconds, megabytes and sizes of each kind.
    """
    results: dict[str, Any] = {}
    if workspace.finish() != 0:
        return {"ok": False, "said": f"the run before it failed; see {workspace.log}"}
    for name, put_load, max_seconds in (
        ("sample", lambda: _sample(workspace, callers), _SECONDS_PER_CALLER * callers),
        ("import", lambda: _import(workspace, images), _SECONDS_PER_IMAGE * images),
        ("report", lambda: _report(workspace, classes, arms), _SECONDS_PER_CELL * classes * arms),
    ):
        if name == "report" and not arms:
            continue
        started = time.monotonic()
        result = put_load()
        seconds = result.pop("seconds", time.monotonic() - started)
        result |= {"seconds": round(seconds, 1), "most_seconds": round(max_seconds + _START_SECONDS)}
        result["ok"] &= seconds < max_seconds + _START_SECONDS
        results[name] = result
        say(f"{name}: {result}")
    return {"ok": all(each["ok"] for each in results.values()), **results}


def _sample(workspace: Workspace, callers: int) -> dict[str, Any]:
    """All callers sample from one generator at once; each gets the same bytes."""
    command = [
        "labelmint",
        "sample",
        "dcgan-100-0",
        "--count",
        "20",
        "--format",
        "tensors",
        "--workers",
        "1",
        "--out",
    ]
    processes = [workspace.start(*command, f"sample-{number}") for number in range(callers)]
    codes = [process.wait(TIMEOUT_SECONDS) for process in processes]
    folders = [workspace.folder / f"sample-{number}" for number in range(callers)]
    contents = {
        (folder / "images.npy").read_bytes() for folder in folders if (folder / "images.npy").exists()
    }
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
    ok = code == 0 and peak < _IMPORT_MEGABYTES
    return {"ok": ok, "images": images, "peak_megabytes_of_one_process": round(peak)}


def _peak(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code of a command, and the maximum memory of one of its processes, in megabytes."""
    own, peak = psutil.Process(process.pid), 0.0
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(psutil.Error):
            peak = max(peak, *(each.memory_info().rss / 1e6 for each in (own, *own.children(recursive=True))))
        time.sleep(0.1)
    return process.wait(1), peak


def _draw(path: Path, classes: int, per_class: int, size: int) -> None:
    """Write a tar with a folder of random PNG images per class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        for label in range(classes):
            for number in range(per_class):
                buffer = io.BytesIO()
                image = Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8))
                image.save(buffer, "PNG", compress_level=0)
                entry = tarfile.TarInfo(f"class {label:03d}/{number}.png")
                entry.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(entry, buffer)


def _report(workspace: Workspace, classes: int, arms: int) -> dict[str, Any]:
    """One arm is trained on `classes` classes, and its files are copied for the others."""
    _draw(workspace.folder / "classes.tar", classes, 8, 8)
    params = (workspace.folder / "params.yaml").read_bytes()
    try:
        code = workspace.finish(
            "labelmint", "import", "classes.tar", "--name", "classes", "--size", "8", "--force"
        )
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
            return {"ok": False, "said": workspace.logged()[-500:]}
        for percent in range(1, arms + 1):
            _copy_arm(workspace.folder / "data", percent)
        workspace.change(percents=list(range(1, arms + 1)))
        started = time.monotonic()
        code, peak = _peak(workspace.start(sys.executable, "-m", "pipeline.stage", "report"))
        seconds, page = time.monotonic() - started, workspace.folder / "reports" / "index.html"
        megabytes = round(page.stat().st_size / 1e6, 1) if code == 0 else None
        return {
            "ok": megabytes is not None and megabytes < _PAGE_MEGABYTES and peak < _REPORT_MEGABYTES,
            "classes": classes,
            "arms": arms,
            "seconds": seconds,
            "page_megabytes": megabytes,
            "peak_megabytes": round(peak),
        }
    finally:
        (workspace.folder / "params.yaml").write_bytes(params)
        workspace.clear()


def _copy_arm(data: Path, percent: int) -> None:
    """Copy all files of the arms of 100 % for another percent."""
    for path in [*data.glob("*/*-100-0*"), *data.glob("timings/*/*-100-0*")]:
        target = path.with_name(path.name.replace("-100-0", f"-{percent}-0"))
        if path == target or target.exists():
            continue
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
    metrics = data / "metrics" / f"dcgan-{percent}-0.json"
    content = json.loads(metrics.read_text())
    for row in content["rows"]:
        row["percent"] = percent
    metrics.write_text(json.dumps(content))
