"""dvc.yaml names the code that a stage's result depends on, derived from the imports in both directions."""

from __future__ import annotations

import ast
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.stage import entry
from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
FAMILY = "labelmint/families/${item.generator}.py"
NO_RESULT = ("labelmint/runtime/", "labelmint/reporting/", "pipeline/", "stages/paths.py")
"""Code on which no result depends: dvc.yaml names the paths itself; only the report needs reporting."""
BY_NAME = {
    "labelmint/data/sources/__init__.py": "labelmint/data/sources",
    "labelmint/metrics/registry.py": "labelmint/metrics",
}
"""Modules that import all modules of a package by name."""
ON_DEVICE = {"pick_device", "run_jobs"}
"""Functions of labelmint.runtime that choose the device."""


def code_dependencies(stage: str) -> list[str]:
    """Entries of `deps` that are code."""
    return [name for name in STAGES[stage]["deps"] if name.startswith(("labelmint/", "stages/", "pipeline/"))]


def covered(dependency: str) -> set[Path]:
    """Modules of a code dependency: a file, or every file of a package."""
    path = ROOT / dependency
    return {path} if dependency.endswith(".py") else set(path.rglob("*.py"))


@cache
def imported(path: Path) -> frozenset[Path]:
    """Modules of the project that a file imports, at its top or within a function, but for types only."""
    found = set()
    for name in _names(ast.parse(path.read_text(encoding="utf-8"))):
        base = ROOT / name.replace(".", "/")
        found |= {file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists()}
    if package := BY_NAME.get(str(path.relative_to(ROOT))):
        found |= {file for file in (ROOT / package).glob("*.py") if file != path}
    return frozenset(found)


def _names(tree: ast.AST) -> list[str]:
    """Dotted names of all imports; of `from a import b`, both a and a.b, since b may be a module."""
    names = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            names += _names(node)
    return [name for name in names if name.split(".")[0] in ("labelmint", "stages", "pipeline")]


@cache
def needed(stage: str) -> frozenset[Path]:
    """Modules on which the stage's result depends: its own and all that it imports, directly or not.

    Settings come from params.yaml, whose groups are dependencies themselves; an empty __init__ has no code.
    """
    seen: set[Path] = set()
    waiting = [ROOT / "stages" / f"{stage}.py"]
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(ROOT))
        exempt = name.startswith(NO_RESULT) and not (stage == "report" and "/reporting/" in name)
        if path in seen or exempt or path.name == "settings.py":
            continue
        seen.add(path)
        waiting += imported(path)
    empty = {path for path in seen if path.name == "__init__.py" and not imported(path)}
    return frozenset(seen - empty)


@pytest.mark.parametrize("stage", STAGES)
class TestCode:
    def test_every_module_that_a_stage_uses_is_a_dependency(self, stage):
        known = set().union(*map(covered, code_dependencies(stage)))
        assert sorted(str(path.relative_to(ROOT)) for path in needed(stage) - known) == []

    def test_every_dependency_is_used(self, stage):
        """A dependency that nothing imports would make arms stale for nothing."""
        unused = [
            each for each in code_dependencies(stage) if each != FAMILY and not covered(each) & needed(stage)
        ]
        assert unused == []

    def test_a_family_is_a_dependency_where_families_are_loaded_by_name(self, stage):
        loads = ROOT / "labelmint/gans/registry.py" in needed(stage)
        assert (FAMILY in code_dependencies(stage)) == loads

    def test_progress_tracking_and_command_line_are_none(self, stage):
        exempt = [each for each in code_dependencies(stage) if f"{each}/".startswith(NO_RESULT)]
        assert exempt == (["labelmint/reporting"] if stage == "report" else [])

    def test_it_is_given_just_the_settings_that_it_declares(self, stage):
        """`compute` is how to run, never what comes out."""
        given = {field.name for field in fields(entry(stage).Params)} - {"arm", "compute"}
        declared = {
            "family" if group.startswith("families.") else group for group in STAGES[stage].get("params", [])
        }
        assert given == declared


def computes_on_device(stage: str) -> bool:
    """Whether the stage reads `compute` and its code chooses a device; `prepare` only counts its workers."""
    reads_compute = any(field.name == "compute" for field in fields(entry(stage).Params))
    names = (node for path in needed(stage) for node in ast.walk(ast.parse(path.read_text())))
    used = {getattr(node, "id", getattr(node, "attr", None)) for node in names}
    return reads_compute and bool(ON_DEVICE & used)


def test_stages_that_compute_on_the_device_are_marked_for_the_gpu():
    marked = {name for name, stage in STAGES.items() if stage.get("meta", {}).get("gpu")}
    assert marked == {stage for stage in STAGES if computes_on_device(stage)}
    assert {"train_generators", "synthesize", "train_classifiers", "evaluate"} <= marked
    assert not {"prepare", "report"} & marked


def test_code_takes_at_most_sixty_lines():
    assert sum(len(code_dependencies(stage)) for stage in STAGES) <= 60


def test_only_prepare_and_report_depend_on_the_lists_of_arms():
    lists = {"percents", "seeds", "generators"}
    assert {name for name, stage in STAGES.items() if lists & set(stage.get("params", []))} == {
        "prepare",
        "report",
    }


def test_only_evaluate_reads_the_test_images():
    tests = ("data/tensors/test", "data/tensors", "data")
    assert {name for name, stage in STAGES.items() if set(tests) & set(stage["deps"])} == {"evaluate"}
    users = {path.stem for path in (ROOT / "stages").glob("*.py") if ".test_tensors" in path.read_text()}
    assert users == {"prepare", "evaluate"}


def test_only_the_report_depends_on_timings():
    def reads_timings(stage):
        return any(
            "timings" in dep or dep == "data/generators" or "training.csv" in dep for dep in stage["deps"]
        )

    assert {name for name, stage in STAGES.items() if reads_timings(stage)} == {"report"}
