"""Checks of the project: settings, files and DVC's state. Each yields its findings for a project's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened
from pipeline.doctor.finding import Finding, note, ok, problem
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema as settings
from pipeline.tracking import refusals
from pipeline.tracking.spool_folder import SPOOL, waiting

_DVC_SECONDS = 120
_DEFAULT_FOLDERS = {"celeba": "data/raw/celeba", "lsun": "data/raw/lsun", "imagenet32": "data/raw/imagenet32"}


def loaded_settings(root: Path) -> settings.Params | None:
    """params.yaml, or None if it is invalid, which the check `params` reports."""
    try:
        return settings.load(root / PARAMS_FILE)
    except InputError:
        return None


def params(root: Path) -> Iterator[Finding]:
    """Whether params.yaml is valid."""
    try:
        found = settings.load(root / PARAMS_FILE)
    except InputError as error:
        yield problem("params.yaml", str(error), "correct it, or labelmint use default")
        return
    arms = len(found.generators) * len(found.percents) * len(found.seeds)
    generators = ", ".join(found.generators) or "no generator"
    yield ok("params.yaml", f"{found.dataset.name}, {arms} arms of {generators}")


def weights(root: Path) -> Iterator[Finding]:
    """Whether the pretrained weights of the classifier are available, before a run needs them."""
    found = loaded_settings(root)
    name = found.classifier.weights if found else "none"
    if name == "none":
        yield ok("weights", "none requested (classifier.weights: none)")
    elif found and name == "imagenet":
        yield _imagenet_weights(root, found.classifier.network)
    elif not (root / name).exists():
        yield problem(
            "weights", f"classifier.weights: {name} does not exist", "name an existing file, or none"
        )
    else:
        yield ok("weights", f"classifier.weights: {name}")


def _imagenet_weights(root: Path, network: str) -> Finding:
    from labelmint.classifiers import pretrained

    file, mirror = pretrained.address(network).rpartition("/")[2], os.environ.get("LABELMINT_MIRROR", "")
    mirrored = [Path(mirror) / file] if mirror and "://" not in mirror else []
    if any(path.exists() for path in [root / "data" / "raw" / file, *mirrored]):
        return ok("weights", f"{file} is there")
    if "://" in mirror:
        says = f"{file} will be downloaded from LABELMINT_MIRROR"
        return note("weights", says, "nothing, while the mirror is reachable")
    says = f"{file} is not in data/raw; training will download it"
    return note(
        "weights", says, f"without a network: copy {file} to data/raw, or set classifier.weights: none"
    )


def raw_data(root: Path) -> Iterator[Finding]:
    """Whether the files of the user's own data set, or of one to download by hand, exist."""
    found = loaded_settings(root)
    if found is None:
        return
    dataset, mirror = found.dataset, os.environ.get("LABELMINT_MIRROR", "")
    path = dataset.path or _DEFAULT_FOLDERS.get(dataset.name)
    if mirror and "://" not in mirror and not Path(mirror).is_dir():
        fix = "unset LABELMINT_MIRROR, or name an existing folder"
        yield problem("data", f"LABELMINT_MIRROR: {mirror} is no folder", fix)
    elif path is None or (root / path).exists():
        yield ok("data", f"{dataset.name}" + (f" at {path}" if path else ""))
    else:
        import_command = f"labelmint import DIR --name {dataset.name} --force"
        fix = import_command if dataset.format else "docs/operations.md#data says where to download its files"
        yield problem("data", f"{dataset.name}: {path} is missing", fix)


def records(root: Path) -> Iterator[Finding]:
    """Whether records wait to be shipped to MLflow, or were refused by it."""
    if refused := refusals.describe(root):
        yield note("records", refused, f"read the reasons, then delete {SPOOL / refusals.REFUSED}")
    if left := waiting(root):
        says = f"{len(left)} runs have not reached MLflow yet"
        yield note("records", says, "labelmint sync, when no stage runs")
    elif not refused:
        yield ok("records", "all have reached MLflow")


def dvc(root: Path) -> Iterator[Finding]:
    """Whether git and DVC work, and which stages would run."""
    if shutil.which("git") is None:
        yield problem("git", "is not installed; DVC needs it", "install git")
        return
    if not (root / ".dvc").is_dir():
        yield problem("DVC", f"{root} is no DVC project: .dvc is missing", "git checkout .dvc, or dvc init")
        return
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_DVC_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield note("DVC", f"dvc status took over {_DVC_SECONDS} s", "run dvc status by itself")
        return
    if done.returncode:
        yield _dvc_failure((done.stderr.strip().splitlines() or ["no message"])[-1])
        return
    changed = sorted(json.loads(done.stdout or "{}"))
    if changed:
        yield note("DVC", f"{len(changed)} stages have changed ({shortened(changed)})", "make repro")
    else:
        yield ok("DVC", "all stages are up to date")


def _dvc_failure(message: str) -> Finding:
    if "RWLock-file" in message:  # half-written by a DVC that was killed
        fix = "if no DVC is running, rm .dvc/tmp/rwlock; make repro does this by itself"
        return problem("DVC", message, fix)
    if "git repository" in message:
        return problem("DVC", message, "git init, or clone the project with git")
    if "lock" in message.lower():
        return note("DVC", message, "another DVC is running: wait for it")
    return problem("DVC", message, "dvc status --verbose shows more")
