"""dvc.lock: what the stages have last computed, and whether the settings of params.yaml led to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_ARM_LISTS = {"percents", "seeds", "generators"}
"""Settings that say which arms there are; the results of an arm do not depend on them."""


def fingerprints(root: Path) -> dict[str, str]:
    """{stage: hash of its entry in dvc.lock}: its command and the contents of inputs, settings, outputs."""
    return {
        name: hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
        for name, entry in stages_of(root / "dvc.lock").items()
    }


def settings(root: Path, stage: str) -> dict[str, Any]:
    """Groups of params.yaml that a stage's last result was made with; none if it has none."""
    entry = stages_of(root / "dvc.lock").get(stage, {})
    return (entry.get("params") or {}).get("params.yaml") or {}


def with_needs(root: Path, stages: Iterable[str]) -> list[str]:
    """These stages and all that they need, directly or not, of those that dvc.lock has."""
    return list(_with_needs(stages_of(root / "dvc.lock"), stages))


def output_in_force(root: Path, stage: str, path: str, settings: Mapping[str, Any]) -> str | None:
    """MD5 of a stage's output in dvc.lock, if it was computed with these settings.

    Args:
        root: The project's folder.
        stage: DVC's address of the stage, e.g. evaluate@dcgan-40-0.
        path: Path of the output, relative to the project's folder.
        settings: Content of params.yaml.

    Returns: None if dvc.lock lacks the output, or if the stage or one that it needs has other settings.
    """
    entries = stages_of(root / "dvc.lock")
    if any(_differs(entry, settings) for entry in _with_needs(entries, [stage]).values()):
        return None
    outputs = {each["path"]: each.get("md5") for each in entries.get(stage, {}).get("outs", [])}
    return outputs.get(path)


def _with_needs(entries: Mapping[str, Any], stages: Iterable[str]) -> dict[str, Any]:
    """Entries of the stages and of all stages whose outputs they need."""
    maker = {out["path"]: name for name, entry in entries.items() for out in entry.get("outs", [])}
    found: dict[str, Any] = {}
    left = list(stages)
    while left:
        name = left.pop()
        if name in found or name not in entries:
            continue
        found[name] = entries[name]
        left += [maker[each["path"]] for each in entries[name].get("deps", []) if each["path"] in maker]
    return found


def _differs(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    return any(
        _value(settings, name) != value
        for name, value in entry.get("params", {}).get("params.yaml", {}).items()
        if name not in _ARM_LISTS
    )


def _value(settings: Any, name: str) -> Any:
    """The setting with this dotted name, or None."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def stages_of(path: Path) -> dict[str, Any]:
    """Stages of dvc.yaml or dvc.lock as they are written; none if the file is missing."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    # The fast loader in C, if PyYAML has it; both load plain data only.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(text, loader) or {}  # nosec B506
    return content.get("stages") or {}
