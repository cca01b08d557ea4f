"""The environment that a page was written in: versions, machine and commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from labelmint.runtime.devices import available_cores, nvidia_gpus, processor_name
from labelmint.runtime.words import counted

_PACKAGES = (
    *("labelmint", "torch", "numpy", "scipy", "scikit-learn", "pillow"),
    *("efficientnet-pytorch", "torch-fidelity"),
)
_CODE = ("labelmint", "stages", "pipeline", "dvc.yaml", "requirements.lock")


def environment(root: Path) -> dict[str, str]:
    """Name -> text. root: of the project, which need not be a git repository."""
    return {
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name))),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPU": f"{processor_name()}, {counted(available_cores(), 'core')}",
        "GPU": ", ".join(card.name for card in nvidia_gpus()) or "no NVIDIA GPU",
        "code": _commit(root),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    """The commit, and whether the code differs from it. Settings do not count: the page shows them."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", *_CODE)
    except (OSError, subprocess.SubprocessError):
        return "not in a git repository"
    return f"commit {commit}" + (", with uncommitted changes" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
