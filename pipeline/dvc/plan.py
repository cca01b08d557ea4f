"""What a run would do with each stage, and why, without running or restoring anything.

`dvc repro --dry` cannot say it: it does not know the hashes of outputs that are still to be restored, on
which later stages depend, and fails where an input is absent. This applies DVC's own rules (`Stage.changed`
and `StageCache.restore`) to the state that the workspace would have when the stage is reached.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.settings import flat
from pipeline.dvc import graph
from pipeline.dvc.graph import Stage
from pipeline.dvc.lock_file import stages_of

WOULD_RUN, WOULD_BE_RESTORED, WOULD_FAIL, UNCHANGED = "WouldRun", "WouldBeRestored", "WouldFail", "Unchanged"
WORDS = {
    WOULD_RUN: "would run",
    WOULD_BE_RESTORED: "would be restored",
    WOULD_FAIL: "would fail",
    UNCHANGED: "unchanged",
}
_MAX_REASONS = 4
_STATUS = {
    "deleted": "is absent",
    "modified": "was modified",
    "new": "is new",
    "not in cache": "is not in DVC's cache",
}


@dataclass(frozen=True)
class Prediction:
    """What would become of a stage. verdict: a key of WORDS. reason: what has changed; empty if nothing."""

    stage: str
    verdict: str
    reason: str = ""


def read(root: Path, targets: Sequence[str] = (), force: bool = False) -> list[Prediction]:
    """Predictions for the stages that a run with these targets would consider, in its order.

    A stage that needs one which would run counts as one that would run: its inputs are not known yet. If they
    come out as before, it is unchanged after all.

    force: whether every stage would run. Raises: InputError.
    """
    with graph.opened(root) as repo:
        plan = _Plan(repo, root, set(stages_of(root / "dvc.lock")), force)
        for stage, dvc_stage in graph.ordered(repo, root, targets):
            plan.add(stage, dvc_stage)
        return list(plan.predictions.values())


def to_text(predictions: Sequence[Prediction]) -> str:
    """A line for each stage, and how many there are of each kind."""
    width = max((len(each.stage) for each in predictions), default=0)
    lines = [
        f"{each.stage:{width}}  {WORDS[each.verdict]:{max(map(len, WORDS.values()))}}  {each.reason}".rstrip()
        for each in predictions
    ]
    verdicts = [each.verdict for each in predictions]
    counts = [f"{verdicts.count(verdict)} {words}" for verdict, words in WORDS.items() if verdict in verdicts]
    return "\n".join([*lines, ", ".join(counts)])


class _Plan:
    """Predictions so far, and the outputs that would be restored, which later stages read.

    known: names of the stages in dvc.lock.
    """

    def __init__(self, repo: Any, root: Path, known: set[str], force: bool) -> None:
        self.repo, self.root, self.known, self.force = repo, root, known, force
        self.predictions: dict[str, Prediction] = {}
        self._restored: dict[str, Any] = {}  # absolute path: DVC's output, with its hash
        self._outputs: dict[str, list[str]] = {}  # stage: absolute paths

    def add(self, stage: Stage, dvc_stage: Any) -> None:
        """Predict the next stage. Those that it needs have been added."""
        verdict, reasons = self._predict(stage, dvc_stage)
        more = f" and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
        reason = "; ".join(reasons[:_MAX_REASONS]) + more
        self.predictions[stage.name] = Prediction(stage.name, verdict, reason)

    def _predict(self, stage: Stage, dvc_stage: Any) -> tuple[str, list[str]]:
        failing, running = self._needs(stage, WOULD_FAIL), self._needs(stage, WOULD_RUN)
        self._outputs[stage.name] = [out.fs_path for out in dvc_stage.outs]
        inputs = [dep for dep in dvc_stage.deps if not self._is_made(dep, failing + running)]
        absent = [f"input {dep} is absent" for dep in inputs if not self._exists(dep)]
        if failing or absent:
            return WOULD_FAIL, absent or [_listed(failing, "which would fail")]
        changed = [text for dep in inputs for text in self._refresh(dep)]
        outputs = self._changed_outputs(dvc_stage)
        reasons = ["its command was changed"] if dvc_stage.changed_stage() else []
        reasons += [*changed, *([_listed(running, "which would run")] if running else []), *outputs]
        if stage.name not in self.known:
            reasons = ["it has no results yet"]
        if self.force:
            return WOULD_RUN, ["every stage is forced to run"]
        if running or dvc_stage.always_changed:
            return WOULD_RUN, reasons
        if not reasons:
            return UNCHANGED, []
        if outs := self._cached(stage, dvc_stage, bool(changed)):
            self._restored |= {each.fs_path: each for each in outs}
            return WOULD_BE_RESTORED, reasons
        return WOULD_RUN, reasons

    def _needs(self, stage: Stage, verdict: str) -> list[str]:
        return [need for need in stage.needs if self.predictions[need].verdict == verdict]

    def _is_made(self, dep: Any, stages: list[str]) -> bool:
        """Whether a dependency is, holds, or is in an output of one of the stages."""
        outputs = [path for name in stages for path in self._outputs[name]]
        return any(_is_in(path, dep.fs_path) or _is_in(dep.fs_path, path) for path in outputs)

    def _exists(self, dep: Any) -> bool:
        return dep.exists or bool(self._restored_hash(dep))

    def _changed_outputs(self, dvc_stage: Any) -> list[str]:
        statuses = [next(iter(out.status().items()), None) for out in dvc_stage.outs]
        return [f"output {found[0]} {_STATUS[found[1]]}" for found in statuses if found]

    def _refresh(self, dep: Any) -> list[str]:
        """Give a dependency the hash that it would have. Returns: what has changed."""
        from dvc_data.hashfile.meta import Meta

        before = dep.hash_info
        if _is_params(dep):
            changed = _changed_settings(dep)
            dep.hash_info = dep.get_hash()
            return changed
        dep.hash_info = self._restored_hash(dep) or dep.get_hash()
        dep.meta = Meta()  # the present one may repeat the hash of before
        if dep.hash_info == before:
            return []
        return [f"input {dep} {'was modified' if before else 'is new'}"]

    def _restored_hash(self, dep: Any) -> Any:
        """Hash of a dependency once earlier stages are restored; None if they leave it as it is."""
        inside = {}
        for path, out in self._restored.items():
            if _is_in(dep.fs_path, path):
                content = out.get_obj(filter_info=dep.fs_path)
                return content.hash_info if content else None
            if _is_in(path, dep.fs_path):
                inside[Path(path).relative_to(dep.fs_path).parts] = out
        return _merged(dep, inside) if inside else None

    def _cached(self, stage: Stage, dvc_stage: Any, inputs_changed: bool) -> list[Any]:
        """Outputs as DVC's cache has them for the present inputs; none if it lacks any."""
        from dvc.stage import PipelineStage, create_stage
        from dvc.stage.cache import _get_cache_hash
        from dvc.stage.loader import StageLoader
        from dvc.stage.serialize import to_single_stage_lockfile

        cache = self.repo.stage_cache
        entry = to_single_stage_lockfile(dvc_stage)
        is_locked = stage.name in self.known and not dvc_stage.changed_stage() and not inputs_changed
        if not (is_locked and all(out.hash_info for out in dvc_stage.outs)):
            key = _get_cache_hash(entry, key=True)
            found = Path(cache._get_cache_dir(key))
            newest = max(found.iterdir(), key=lambda path: path.stat().st_mtime) if found.is_dir() else None
            entry = cache._load_cache(key, newest.name) if newest else None
        if not entry:
            return []
        # As `StageCache._create_stage`, which expects the project's folder to be the current one.
        paths = [out["path"] for out in entry["outs"]]
        file, folder = str(self.root / "dvc.yaml"), dvc_stage.wdir
        restored = create_stage(PipelineStage, self.repo, file, cmd=entry["cmd"], wdir=folder, outs=paths)
        StageLoader.fill_from_lock(restored, entry)
        return list(restored.outs) if restored.outs_cached() else []


def _is_in(path: str, folder: str) -> bool:
    """Whether an absolute path is `folder` or in it."""
    return f"{path}{os.sep}".startswith(f"{folder}{os.sep}")


def _listed(needs: list[str], which: str) -> str:
    more = f" and {len(needs) - 1} more" if len(needs) > 1 else ""
    return f"needs {needs[0]}{more}, {which}"


def _is_params(dep: Any) -> bool:
    from dvc.dependency import ParamsDependency

    return isinstance(dep, ParamsDependency)


def _changed_settings(dep: Any) -> list[str]:
    """Settings that differ from those of the last result, e.g. "training.epochs: 7 -> 9"."""
    before, after = flat(dep.hash_info.value or {}), flat(dep.read_params())
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {_shown(before, name)} -> {_shown(after, name)}"
        for name in names
        if _plain(before.get(name)) != _plain(after.get(name)) or (name in before) != (name in after)
    ]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(settings: dict[str, Any], name: str) -> str:
    return json.dumps(settings[name], default=str) if name in settings else "none"


def _merged(dep: Any, parts: dict[tuple[str, ...], Any]) -> Any:
    """Hash of a folder after outputs in it are restored. parts: these, by their paths in the folder."""
    from dvc_data.hashfile.tree import Tree

    entries: dict[tuple[str, ...], Any] = {}
    if dep.exists:
        # As `Output.get_hash`, of which only the hash is public.
        _, _, found = dep._build(dep.cache, dep.fs_path, dep.fs, dep.hash_name, ignore=dep.dvcignore)
        entries = {
            key: value
            for key, value in found.as_dict().items()
            if not any(key[: len(part)] == part for part in parts)
        }
    for part, out in parts.items():
        content: Any = out.get_obj()
        if out.hash_info.isdir:
            entries |= {(*part, *key): value for key, value in content.as_dict().items()}
        else:
            entries[part] = (out.meta, out.hash_info)
    tree: Any = Tree()  # type: ignore[no-untyped-call]
    for key, (meta, oid) in entries.items():
        tree.add(key, meta, oid)
    tree.digest()
    return tree.hash_info
