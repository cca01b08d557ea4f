"""The DAG as DVC itself reads it, anew at every call. Nothing here or elsewhere lists the stages.

`Repo.index` is no public interface of DVC; all that relies on it is in this file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Stage:
    """name: DVC's address, such as train_generators@dcgan-40-0. needs: addresses of the stages it reads from.
    gpu: whether dvc.yaml says `meta: {gpu: true}`.
    """

    name: str
    needs: tuple[str, ...]
    gpu: bool


def read(root: Path, targets: Sequence[str] = ()) -> list[Stage]:
    """The stages that `dvc repro TARGETS` would consider, in its order: what is needed comes first.

    targets: stages or groups, such as evaluate; none means all. Raises: InputError in one line.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    try:
        with Repo(str(root)) as repo:
            graph = get_active_graph(repo.index.graph)
            wanted = [stage for target in targets for stage in _named(graph, target, root)]
            order = [stage for stage in plan_repro(graph, wanted or None) if getattr(stage, "cmd", None)]
            known = {_address(stage, root) for stage in order}
            return [
                Stage(
                    _address(stage, root),
                    tuple(sorted({_address(need, root) for need in graph.successors(stage)} & known)),
                    bool((getattr(stage, "meta", None) or {}).get("gpu")),
                )
                for stage in order
            ]
    except DvcException as error:
        raise InputError(f"{root / 'dvc.yaml'}: {' '.join(str(error).split())}") from error


def _named(graph: Any, target: str, root: Path) -> list[Any]:
    """One stage, or all of a group."""
    found = [stage for stage in graph if target in (name := _address(stage, root), name.split("@")[0])]
    if not found:
        raise InputError(f"no stage '{target}' in dvc.yaml; `dvc stage list` shows them")
    return found


def _address(stage: Any, root: Path) -> str:
    """What DVC calls the stage in the project's folder; `stage.addressing` is for the current folder."""
    file = os.path.relpath(stage.path, root)
    name = getattr(stage, "name", None)
    return file if name is None else name if file == "dvc.yaml" else f"{file}:{name}"


def fingerprints(root: Path) -> dict[str, str]:
    """{stage: hash of its entry in dvc.lock}, which names its command, inputs, settings and outputs by content."""
    import yaml

    try:
        text = (root / "dvc.lock").read_text()
    except FileNotFoundError:
        return {}
    # In C where PyYAML was built with it; plain data only, either way.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(text, loader)  # nosec B506
    return {
        name: hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
        for name, entry in content.get("stages", {}).items()
    }
