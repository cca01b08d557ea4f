"""The environment that a page was written in: versions, machine and commit."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from labelmint.runtime.devices import available_cores, nvidia_gpus, processor_name
from labelmint.runtime.git import GitError, git
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
        commit = git(root, "rev-parse", "HEAD")
        changed = git(root, "status", "--porcelain", "--", *_CODE)
    except GitError as error:
        return f"unknown: {error}"
    return f"commit {commit}" + (", with uncommitted changes" if changed else "")
