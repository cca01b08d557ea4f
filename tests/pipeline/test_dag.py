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


def imported(path: Path, seen: set[Path]) -> set[Path]:
    """The file and every file of stages/ that it imports, directly or not."""
    if path in seen:
        return seen
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            file = ROOT / (name.replace(".", "/") + ".py")
            if name.startswith("stages.") and file.exists():
                imported(file, seen)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_imports_is_a_dependency(stage):
    code = [dependency for dependency in STAGES[stage]["deps"] if dependency.startswith("stages/")]
    covered = {file for dependency in code for file in ([ROOT / dependency] if dependency.endswith(".py") else (ROOT / dependency).rglob("*.py"))}
    # Params classes of other rooms are read through params.yaml, whose groups are dependencies themselves.
    needed = {file for file in imported(Path(entry(stage).__file__), set()) if file.name != "params.py" or file.parent.name in str(code)}
    missing = sorted(str(file.relative_to(ROOT)) for file in needed - covered if file.name != "params.py")
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_handed_just_the_params_it_declares_to_dvc(stage):
    handed = {field.name for field in fields(entry(stage).Params)} - {"arm"} - NOT_A_DEPENDENCY
    declared = {"family" if group.startswith("families.") else group for group in STAGES[stage].get("params", [])}
    assert handed == declared


def test_only_prepare_and_report_depend_on_the_lists_of_arms():
    lists = {"percents", "seeds", "generators"}
    assert {stage for stage, made in STAGES.items() if lists & set(made.get("params", []))} == {"prepare", "report"}


def test_nothing_but_evaluate_reads_the_test_images():
    readers = {stage for stage, made in STAGES.items() if any(dep in ("data/tensors/test", "data/tensors", "data") for dep in made["deps"])}
    assert readers == {"evaluate"}
    users = {path.parent.name for path in (ROOT / "stages").rglob("*.py") if "test_tensors" in path.read_text()}
    assert users == {"prepare", "evaluate"}


def test_no_stage_depends_on_timings_but_the_report():
    readers = {stage for stage, made in STAGES.items() if any("timings" in dep or dep == "data/generators" or "training.csv" in dep for dep in made["deps"])}
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
    nodes = list(ast.walk(ast.parse(text)))
    return [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module] + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
