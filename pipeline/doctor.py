"""`labelmint doctor`: looks at the machine and the project, and says what to do about each thing that it finds amiss."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from labelmint.data.download import anonymous, public
from labelmint.runtime.devices import available_cores, nvidia_gpus
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened
from pipeline.settings import schema as settings

State = Literal["ok", "note", "problem"]

_OLDEST = (3, 11)
_SECONDS = 2.0
_DVC_SECONDS = 120
_GIGABYTE = 1e9
_LEAST_DISK, _LEAST_MEMORY = 5.0, 3.0
_LISTED = 6
_PORTS = {4200: ("Prefect", "/api/health"), 5000: ("MLflow", "/health")}


@dataclass(frozen=True)
class Finding:
    """state: ok; note, which may be as it is; problem, with which something will not work. fix: what to do, empty for ok."""

    subject: str
    state: State
    says: str
    fix: str = ""


def examine(root: Path) -> list[Finding]:
    """root: of the project. A check that fails itself is a finding, and the others go on."""
    evaluations: list[Callable[[Path], Iterator[Finding]]] = [
        python, packages, machine, disk, gpu, params, weights, raw_data, servers, ports, cluster, records, dvc,
    ]  # fmt: skip
    found = []
    for check in evaluations:
        try:
            found += list(check(root))
        except Exception as error:
            told = " ".join(str(error).split())[:200]
            found.append(Finding(check.__name__, "problem", f"could not be looked at: {type(error).__name__}: {told}", "labelmint --debug doctor"))  # fmt: skip
            if os.environ.get("LABELMINT_DEBUG"):
                raise
    return found


def show(found: list[Finding]) -> None:
    """For a person: a line each, and below it what to do. Colours only on a terminal, and not with NO_COLOR."""
    from rich.console import Console
    from rich.text import Text

    console, colours = (
        Console(soft_wrap=True, highlight=False),
        {"ok": "green", "note": "yellow", "problem": "bold red"},
    )
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        line = Text(f"{finding.state:8}", colours[finding.state])
        console.print(line.append(f"{finding.subject:{width}}  {finding.says}", "default"))
        if finding.fix:
            console.print(Text(f"{'':8}{'':{width}}  -> {finding.fix}"))


def as_json(found: list[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=1)


def python(root: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _OLDEST:
        yield Finding("Python", "problem", f"{version} is older than 3.11", "make PYTHON=python3.12 env")
    elif not Path(sys.prefix).resolve().is_relative_to(root.resolve()):
        yield Finding("Python", "note", f"{version} in {sys.prefix}, not the project's own", "make env, then use .venv/bin/labelmint")  # fmt: skip
    else:
        yield Finding("Python", "ok", f"{version} in {sys.prefix}")


def packages(root: Path) -> Iterator[Finding]:
    """Against requirements.lock."""
    from packaging.markers import Marker
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    lock = root / "requirements.lock"
    if not lock.exists():
        yield Finding("packages", "note", "requirements.lock is missing, so that versions are not known", "git checkout requirements.lock")  # fmt: skip
        return
    here: dict[str, str] = {canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions() if each.metadata["Name"]}  # fmt: skip
    wanted: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        found = re.match(r"([A-Za-z0-9_.-]+)==([^ ;]+)(?: ; (.*?))?(?: \\)?$", line)
        if found and (not found[3] or Marker(found[3]).evaluate()):
            wanted[canonicalize_name(found[1])] = found[2]
    missing = sorted(set(wanted) - set(here))
    # A CPU build of torch is 2.11.0+cpu.
    other = [name for name in wanted if name in here and Version(here[name]).public != Version(wanted[name]).public]
    cpu_build = "+cpu" in here.get("torch", "")
    missing = [name for name in missing if not (cpu_build and (name.startswith(("nvidia-", "cuda-")) or name == "triton"))]  # fmt: skip
    if missing or other:
        parts = [f"{len(missing)} missing ({shortened(missing, _LISTED)})"] if missing else []
        parts += [f"{len(other)} of another version ({shortened([f'{name} {here[name]}, locked {wanted[name]}' for name in other], _LISTED)})"] if other else []  # fmt: skip
        yield Finding("packages", "problem", "; ".join(parts), "touch requirements.lock && make env")
    else:
        main = ", ".join(f"{name} {here[name]}" for name in ("torch", "dvc", "mlflow", "prefect") if name in here)
        yield Finding("packages", "ok", f"{len(wanted)} as locked: {main}")


def machine(root: Path) -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    told = f"{available_cores()} cores, {memory.available / _GIGABYTE:.1f} of {memory.total / _GIGABYTE:.1f} GB of memory free"
    if memory.available / _GIGABYTE < _LEAST_MEMORY:
        yield Finding("machine", "note", told, "close other programs, or set compute.workers: 1 in params.yaml")
    else:
        yield Finding("machine", "ok", told)


def disk(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free / _GIGABYTE
    if not os.access(root, os.W_OK):
        yield Finding("disk", "problem", f"{root} cannot be written", f"chmod -R u+w {root}")
    elif free < _LEAST_DISK:
        yield Finding("disk", "problem", f"{free:.1f} GB free at {root}; a run wants {_LEAST_DISK:.0f}", "dvc gc --workspace, or free some disk")  # fmt: skip
    else:
        yield Finding("disk", "ok", f"{free:,.1f} GB free at {root}")


def gpu(root: Path) -> Iterator[Finding]:
    cards = [gpu.name for gpu in nvidia_gpus()]
    import torch

    able, build = torch.cuda.is_available(), torch.version.cuda
    if able:
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield Finding("GPU", "ok", f"{names}; torch {torch.__version__} with CUDA {build}")
    elif cards and not build:
        yield Finding("GPU", "problem", f"{shortened(cards, _LISTED)}, but torch {torch.__version__} is a build for CPUs", "rm -rf .venv && make env, without UV_TORCH_BACKEND=cpu")  # fmt: skip
    elif cards:
        yield Finding("GPU", "problem", f"{shortened(cards, _LISTED)}, but torch with CUDA {build} cannot use it", "renew the driver, and look at CUDA_VISIBLE_DEVICES")  # fmt: skip
    else:
        wanted = _settings(root)
        if wanted and wanted.compute.device == "cuda":
            yield Finding("GPU", "problem", "compute.device: cuda, and there is none", "set compute.device: auto in params.yaml")  # fmt: skip
        else:
            yield Finding("GPU", "ok", "none; training runs on the CPU")


def params(root: Path) -> Iterator[Finding]:
    try:
        found = settings.load(root / settings.PARAMS_FILE)
    except InputError as error:
        yield Finding("params.yaml", "problem", str(error), "mend it, or labelmint use default")
        return
    arms = len(found.generators) * len(found.percents) * len(found.seeds)
    yield Finding("params.yaml", "ok", f"{found.dataset.name}, {arms} arms of {', '.join(found.generators) or 'no generator'}")  # fmt: skip


def weights(root: Path) -> Iterator[Finding]:
    """Of the classifier, before a run would look for them."""
    wanted = _settings(root)
    name = wanted.classifier.weights if wanted else "none"
    if name == "none":
        yield Finding("weights", "ok", "none are asked for (classifier.weights: none)")
    elif name == "imagenet":
        from labelmint.classifiers import efficientnet

        file = efficientnet._IMAGENET
        places = [root / "data" / "raw" / file, *_mirrored(file)]
        if any(place.exists() for place in places):
            yield Finding("weights", "ok", f"{file} is there")
        elif "://" in os.environ.get("LABELMINT_MIRROR", ""):
            yield Finding("weights", "note", f"{file} will be fetched from LABELMINT_MIRROR", "nothing, while that is reachable")  # fmt: skip
        else:
            yield Finding("weights", "note", f"{file} is not in data/raw; training will fetch it", f"without a network: bring {file} to data/raw, or classifier.weights: none")  # fmt: skip
    elif not (root / name).exists():
        yield Finding("weights", "problem", f"classifier.weights: {name} does not exist", "name a file that does, or none")  # fmt: skip
    else:
        yield Finding("weights", "ok", f"classifier.weights: {name}")


def raw_data(root: Path) -> Iterator[Finding]:
    """What a data set of one's own, or one that a person must fetch, needs."""
    wanted = _settings(root)
    if wanted is None:
        return
    dataset = wanted.dataset
    place = dataset.path or {"celeba": "data/raw/celeba", "lsun": "data/raw/lsun", "imagenet32": "data/raw/imagenet32"}.get(dataset.name)  # fmt: skip
    mirror = os.environ.get("LABELMINT_MIRROR", "")
    if mirror and "://" not in mirror and not Path(mirror).is_dir():
        yield Finding("data", "problem", f"LABELMINT_MIRROR: {mirror} is no folder", "unset LABELMINT_MIRROR, or name one that is there")  # fmt: skip
    elif place is None or (root / place).exists():
        yield Finding("data", "ok", f"{dataset.name}" + (f" at {place}" if place else ""))
    else:
        fix = f"labelmint import DIR --name {dataset.name} --force" if dataset.format else "docs/operations.md#data says where its files come from"  # fmt: skip
        yield Finding("data", "problem", f"{dataset.name}: {place} is missing", fix)


def servers(root: Path) -> Iterator[Finding]:
    """Those that the environment names."""
    for variable, path in (("MLFLOW_TRACKING_URI", "/health"), ("PREFECT_API_URL", "/health")):
        address = os.environ.get(variable)
        if not address:
            continue
        shown = public(address)
        if urlsplit(address).scheme not in ("http", "https"):
            yield Finding(variable, "ok", shown)
        elif _answers(anonymous(address).rstrip("/") + path):
            yield Finding(variable, "ok", f"{shown} answers")
        else:
            yield Finding(variable, "note", f"{shown} does not answer; runs go on and keep their records", f"start it, or unset {variable}; later: labelmint sync")  # fmt: skip


def ports(root: Path) -> Iterator[Finding]:
    for port, (name, path) in _PORTS.items():
        if not _listens("127.0.0.1", port):
            yield Finding(f"port {port}", "ok", f"free for {name} (make ui)")
        elif _answers(f"http://127.0.0.1:{port}{path}"):
            yield Finding(f"port {port}", "ok", f"{name} answers")
        else:
            yield Finding(f"port {port}", "note", f"something that is not {name} listens", f"end it before make ui, or serve {name} on another port")  # fmt: skip


def cluster(root: Path) -> Iterator[Finding]:
    wanted = _settings(root)
    address = wanted.compute.cluster if wanted else None
    if address is None:
        return
    parts = urlsplit(address)
    if parts.hostname and parts.port and _listens(parts.hostname, parts.port):
        yield Finding("cluster", "ok", f"{address} answers")
    else:
        yield Finding("cluster", "problem", f"compute.cluster: {address} does not answer", "start dask scheduler there, or set compute.cluster: null")  # fmt: skip


def records(root: Path) -> Iterator[Finding]:
    left = list((root / ".tracking").glob("*/run.json"))
    if left:
        yield Finding("records", "note", f"{len(left)} runs have not reached MLflow yet", "labelmint sync, when no stage runs")  # fmt: skip
    else:
        yield Finding("records", "ok", "all have reached MLflow")


def dvc(root: Path) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("git", "problem", "is not installed; DVC needs it", "install git")
        return
    if not (root / ".dvc").is_dir():
        yield Finding("DVC", "problem", f"{root} is no DVC project: .dvc is missing", "git checkout .dvc, or dvc init")
        return
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    try:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=_DVC_SECONDS)
    except subprocess.TimeoutExpired:
        yield Finding("DVC", "note", f"dvc status took over {_DVC_SECONDS} s", "run dvc status by itself")
        return
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if "RWLock-file" in told:  # half written by DVC that was killed
            yield Finding("DVC", "problem", told, "when no DVC is at work, rm .dvc/tmp/rwlock; make repro does it by itself")  # fmt: skip
            return
        locked = "lock" in told.lower()
        fix = "another DVC is at work: wait for it" if locked else "dvc status --verbose says more"
        yield Finding("DVC", "note" if locked else "problem", told, fix)
        return
    changed = sorted(json.loads(done.stdout or "{}"))
    if changed:
        yield Finding("DVC", "note", f"{len(changed)} stages are to be run ({shortened(changed, _LISTED)})", "make repro")
    else:
        yield Finding("DVC", "ok", "all stages are up to date")


def _settings(root: Path) -> settings.Params | None:
    """None where they do not pass; `params` says so."""
    try:
        return settings.load(root / settings.PARAMS_FILE)
    except InputError:
        return None


def _mirrored(file: str) -> list[Path]:
    mirror = os.environ.get("LABELMINT_MIRROR", "")
    return [Path(mirror) / file] if mirror and "://" not in mirror else []


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _SECONDS):
            return True
    except OSError:
        return False


def _answers(address: str) -> bool:
    # Not through a proxy: these servers are on this machine or in its network.
    opener: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False
