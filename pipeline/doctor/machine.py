"""Checks of the machine and of the installed packages. Each yields its findings for a project's folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from labelmint.runtime.devices import available_cores
from labelmint.runtime.words import shortened
from pipeline.doctor.finding import Finding, note, ok, problem

_MIN_PYTHON = (3, 11)
_GIGABYTE = 1e9
_MIN_DISK_GB, _MIN_MEMORY_GB = 5.0, 3.0
_LOCK_LINE = re.compile(r"([A-Za-z0-9_.-]+)==([^ ;]+)(?: ; (.*?))?(?: \\)?$")
_FIRST_UNSCHEDULABLE_SQLALCHEMY = (2, 1)


def python(root: Path) -> Iterator[Finding]:
    """The version of Python, and whether it is the project's own environment."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _MIN_PYTHON:
        yield problem("Python", f"{version} is older than 3.11", "make PYTHON=python3.12 env")
    elif not Path(sys.prefix).resolve().is_relative_to(root.resolve()):
        fix = "make env, then use .venv/bin/labelmint"
        yield note("Python", f"{version} in {sys.prefix}, not the project's own environment", fix)
    else:
        yield ok("Python", f"{version} in {sys.prefix}")


def packages(root: Path) -> Iterator[Finding]:
    """Installed versions against requirements.lock."""
    from packaging.markers import Marker
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    lock = root / "requirements.lock"
    if not lock.exists():
        fix = "git checkout requirements.lock"
        yield note("packages", "requirements.lock is missing, so the right versions are unknown", fix)
        return
    installed: dict[str, str] = {
        canonicalize_name(each.metadata["Name"]): each.version
        for each in metadata.distributions()
        if each.metadata["Name"]
    }
    locked: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        found = _LOCK_LINE.match(line)
        if found and (not found[3] or Marker(found[3]).evaluate()):
            locked[canonicalize_name(found[1])] = found[2]
    missing = sorted(set(locked) - set(installed))
    if "+cpu" in installed.get("torch", ""):
        missing = [
            name for name in missing if not (name.startswith(("nvidia-", "cuda-")) or name == "triton")
        ]
    differing = [
        f"{name} {installed[name]}, locked {version}"
        for name, version in locked.items()
        # The public part: a CPU build of torch is 2.11.0+cpu.
        if name in installed and Version(installed[name]).public != Version(version).public
    ]
    if missing or differing:
        parts = [f"{len(missing)} missing ({shortened(missing)})"] if missing else []
        parts += [f"{len(differing)} of another version ({shortened(differing)})"] if differing else []
        yield problem("packages", "; ".join(parts), "touch requirements.lock && make env")
    else:
        main = [
            f"{name} {installed[name]}" for name in ("torch", "dvc", "mlflow", "prefect") if name in installed
        ]
        yield ok("packages", f"{len(locked)} as locked: {', '.join(main)}")


def schedules(root: Path) -> Iterator[Finding]:
    """Whether Prefect can schedule runs with the installed SQLAlchemy.

    With 2.1 its scheduler fails with "Can't evaluate bulk DML statement", which only the server's log says.
    """
    version = metadata.version("sqlalchemy")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) >= _FIRST_UNSCHEDULABLE_SQLALCHEMY:
        says = f"with SQLAlchemy {version} Prefect never starts a scheduled run"
        yield problem("schedules", says, "touch requirements.lock && make env, which installs SQLAlchemy 2.0")
    else:
        yield ok("schedules", f"Prefect can schedule runs with SQLAlchemy {version}")


def machine(root: Path) -> Iterator[Finding]:
    """Cores and free memory."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available / _GIGABYTE, memory.total / _GIGABYTE
    says = f"{available_cores()} cores, {free:.1f} of {total:.1f} GB of memory free"
    if free < _MIN_MEMORY_GB:
        yield note("machine", says, "close other programs, or set compute.workers: 1 in params.yaml")
    else:
        yield ok("machine", says)


def disk(root: Path) -> Iterator[Finding]:
    """Free space, and whether the project can be written."""
    free = shutil.disk_usage(root).free / _GIGABYTE
    if not os.access(root, os.W_OK):
        yield problem("disk", f"{root} cannot be written", f"chmod -R u+w {root}")
    elif free < _MIN_DISK_GB:
        says = f"{free:.1f} GB free at {root}; a run needs {_MIN_DISK_GB:.0f}"
        yield problem("disk", says, "dvc gc --workspace, or free some disk space")
    else:
        yield ok("disk", f"{free:,.1f} GB free at {root}")
