"""The DAG as DVC reads it from dvc.yaml, at every call.

`Repo.index` is no public interface of DVC; all code that relies on such is in this file and in `plan`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.errors import InputError
from pipeline.dvc.lock_file import stages_of


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    name: DVC's address, e.g. train_generators@dcgan-40-0. needs: addresses of the stages whose outputs it
    reads. gpu, beside: whether dvc.yaml says so, e.g. `meta: {gpu: true}`.
    """

    name: str
    needs: tuple[str, ...]
    gpu: bool = False
    beside: bool = False


def read(root: Path, targets: Sequence[str] = ()) -> list[Stage]:
    """Stages that `dvc repro TARGETS` would consider, in its order: each after those that it needs.

    targets: stages or groups such as evaluate; empty: all. Raises: InputError.
    """
    with opened(root) as repo:
        return [stage for stage, _ in ordered(repo, root, targets)]


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """DVC's `Repo` of the project. Raises: InputError in one line instead of DVC's own errors."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(root)) as repo:
            yield repo
    except NotDvcRepoError as error:
        raise InputError(f"{root}: {' '.join(str(error).split())}; `dvc init` makes it one") from error
    except SCMError as error:
        raise InputError(f"{' '.join(str(error).split())}; DVC needs one: git init, or git clone") from error
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
    meta = getattr(stage, "meta", None) or {}
    return Stage(address(stage, root), tuple(sorted(needs)), bool(meta.get("gpu")), bool(meta.get("beside")))


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
    entry = stages_of(root / "dvc.yaml").get(stage, {})
    return bool((entry.get("meta") or {}).get("gpu"))
