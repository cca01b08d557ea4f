"""dvc.yaml says what the stages really read: else a cache would be stale in silence."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.stage import entry
from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
NOT_A_DEPENDENCY = {"compute"}  # how to run, never what comes out


FAMILIES = [path for path in (ROOT / "stages/train_generators/families").glob("*.py") if path.stem != "__init__"]


def imported(path: Path, seen: set[Path]) -> set[Path]:
    """The file and every file of stages/ that it imports, directly or not. Families are imported by name."""
    if path in seen:
        return seen
    seen.add(path)
    for name in _modules(path.read_text()):
        for file in (ROOT / (name.replace(".", "/") + ".py"), ROOT / name.replace(".", "/") / "__init__.py"):
            if name.startswith("stages.") and file.exists():
                imported(file, seen)
    if path.parent.name == "families" and path.stem == "__init__":
        for family in FAMILIES:
            imported(family, seen)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_imports_is_a_dependency(stage):
    covered = set()
    for dependency in STAGES[stage]["deps"]:
        for name in {dependency.replace("${item.generator}", family.stem) for family in FAMILIES}:
            covered |= {ROOT / name} if name.endswith(".py") else set((ROOT / name).rglob("*.py"))
    # A room's __init__ holds no code. Settings are read from params.yaml, whose groups are dependencies themselves.
    empty = {path for path in (ROOT / "stages").rglob("__init__.py") if not _modules(path.read_text())}
    needed = {file for file in imported(Path(entry(stage).__file__), set()) if file.name != "params.py"} - empty
    assert not sorted(str(file.relative_to(ROOT)) for file in needed - covered)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_handed_just_the_params_it_declares_to_dvc(stage):
    handed = {field.name for field in fields(entry(stage).Params)} - {"arm"} - NOT_A_DEPENDENCY
    declared = {"family" if group.startswith("families.") else group for group in STAGES[stage].get("params", [])}
    assert handed == declared


def test_only_prepare_and_report_depend_on_the_lists_of_arms():
    lists = {"percents", "seeds", "generators"}
    assert {stage for stage, made in STAGES.items() if lists & set(made.get("params", []))} == {"prepare", "report"}


def test_nothing_but_evaluate_reads_the_test_images():
    readers = {
        stage
        for stage, made in STAGES.items()
        if any(dep in ("data/tensors/test", "data/tensors", "data") for dep in made["deps"])
    }
    assert readers == {"evaluate"}
    users = {path.parent.name for path in (ROOT / "stages").rglob("*.py") if "test_tensors" in path.read_text()}
    assert users == {"prepare", "evaluate"}


def test_no_stage_depends_on_timings_but_the_report():
    readers = {
        stage
        for stage, made in STAGES.items()
        if any("timings" in dep or dep == "data/generators" or "training.csv" in dep for dep in made["deps"])
    }
    assert readers == {"report"}


def test_imports_point_one_way():
    rooms = ["prepare", "train_generators", "synthesize", "train_classifiers", "evaluate", "report"]
    for path in (ROOT / "stages").rglob("*.py"):
        text = path.read_text()
        assert "pipeline" not in [name.split(".")[0] for name in _modules(text)], path
        own = rooms.index(path.relative_to(ROOT / "stages").parts[0]) if path.parent.name != "stages" else len(rooms)
        for name in _modules(text):
            parts = name.split(".")
            if parts[0] == "stages" and len(parts) > 1:
                assert rooms.index(parts[1]) <= own, f"{path} imports from a later room: {name}"


def _modules(text: str) -> list[str]:
    """All that a file imports; of `from a import b`, both a and a.b, since b may be a module."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names
