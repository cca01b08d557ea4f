"""The DAG as DVC reads it from dvc.yaml, at every call.

`Repo.index` is no public interface of DVC; all code that relies on such is in this file and in `plan`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    name: DVC's address, e.g. train_generators@dcgan-40-0. needs: addresses of the stages whose outputs it
    reads. gpu: whether dvc.yaml says `meta: {gpu: true}`.
    """

    name: str
    needs: tuple[str, ...]
    gpu: bool


def read(root: Path, targets: Sequence[str] = ()) -> list[Stage]:
    """Stages that `dvc repro TARGETS` would consider, in its order: each after those that it needs.

    targets: stages or groups such as evaluate; empty: all. Raises: InputError.
    """
    with opened(root) as repo:
        return [stage for stage, _ in ordered(repo, root, targets)]


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """DVC's `Repo` of the project. Raises: InputError in one line instead of DVC's own errors."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            yield repo
    except DvcException as error:
        raise InputError(f"{root / 'dvc.yaml'}: {' '.join(str(error).split())}") from error


def ordered(repo: Any, root: Path, targets: Sequence[str] = ()) -> list[tuple[Stage, Any]]:
    """What `read` returns, each stage with DVC's own object of it."""
    from dvc.repo.reproduce import get_active_graph, plan_repro

    graph = get_active_graph(repo.index.graph)
    selected = [stage for target in targets for stage in _matching(graph, target, root)]
    order = [stage for stage in plan_repro(graph, selected or None) if getattr(stage, "cmd", None)]
    names = {address(stage, root) for stage in order}
    return [(_described(stage, graph, root, names), stage) for stage in order]


def _described(stage: Any, graph: Any, root: Path, names: set[str]) -> Stage:
    needs = {address(need, root) for need in graph.successors(stage)} & names
    gpu = bool((getattr(stage, "meta", None) or {}).get("gpu"))
    return Stage(address(stage, root), tuple(sorted(needs)), gpu)


def _matching(graph: Any, target: str, root: Path) -> list[Any]:
    """The stage called `target`, or all stages of the group."""
    found = [stage for stage in graph if target in (name := address(stage, root), name.split("@")[0])]
    if not found:
        raise InputError(f"no stage '{target}' in dvc.yaml; `dvc stage list` shows them")
    return found


def address(stage: Any, root: Path) -> str:
    """DVC's address of the stage in the project; `stage.addressing` is relative to the current folder."""
    file = os.path.relpath(stage.path, root)
    name = getattr(stage, "name", None)
    if name is None:
        return file
    return str(name) if file == "dvc.yaml" else f"{file}:{name}"


def uses_gpu(root: Path, stage: str) -> bool:
    """Whether dvc.yaml says `meta: {gpu: true}` of a stage, named without its arm; False without dvc.yaml."""
    entry = entries(root / "dvc.yaml").get(stage, {})
    return bool((entry.get("meta") or {}).get("gpu"))


def fingerprints(root: Path) -> dict[str, str]:
    """{stage: hash of its entry in dvc.lock}: its command and the contents of inputs, settings, outputs."""
    return {
        name: hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
        for name, entry in entries(root / "dvc.lock").items()
    }


def settings(root: Path, stage: str) -> dict[str, Any]:
    """Groups of params.yaml that a stage's last result was made with, from dvc.lock; none if it has none."""
    entry = entries(root / "dvc.lock").get(stage, {})
    return (entry.get("params") or {}).get("params.yaml") or {}


def entries(path: Path) -> dict[str, Any]:
    """Stages of dvc.yaml or dvc.lock as they are written; none if the file is missing."""
    import yaml

    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    # The fast loader in C, if PyYAML has it; both load plain data only.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(text, loader) or {}  # nosec B506
    return content.get("stages") or {}
