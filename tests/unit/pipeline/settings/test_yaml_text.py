"""Changes of YAML text leave the rest of it as it is."""

from __future__ import annotations

import copy
import difflib
import re

import pytest

from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from pipeline.settings import experiments, schema
from pipeline.settings.experiments import Choice
from pipeline.settings.yaml_text import changed
from tests.conftest import ROOT

BASE = (ROOT / "experiments" / "default.yaml").read_text()
DEFAULT = schema.parse(BASE)


def names_of_lines(text: str) -> list[str]:
    """For each line, the setting or group on it, such as training.epochs, or the last one before it."""
    path: list[str] = []
    names = []
    for line in text.splitlines():
        is_rest = line.endswith("}") and "{" not in line  # of a mapping on two lines
        if (found := re.match(r"((?:  )*)([a-z0-9_]+):", line)) and not is_rest:
            path = [*path[: len(found[1]) // 2], found[2]]
        names.append(".".join(path))
    return names


def touched(before: str, after: str) -> set[str]:
    """Settings on the lines that differ."""
    names_before, names_after = names_of_lines(before), names_of_lines(after)
    found = set()
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            found |= {*names_before[start:end], *names_after[new_start:new_end]}
    return found


@pytest.mark.parametrize(
    ("name", "quick"),
    [
        *((each, False) for each in experiments.names(ROOT) if each != "default"),
        ("mnist", True),
        ("fairness_gan_faces", True),
    ],
)
def test_an_experiment_changes_the_lines_of_its_settings_only(name, quick):
    choice = Choice.named([name], quick)
    content = copy.deepcopy(DEFAULT)
    for layer in experiments.overlays(ROOT, choice):
        schema.overlay(content, layer)
    text = experiments.rendered(ROOT, choice)
    assert schema.parse(text) == content
    before, after = flat(DEFAULT), flat(content)
    differing = [key for key in {**before, **after} if before.get(key, "") != after.get(key, "")]
    # Line 1 names the experiment. A mapping on one line is the line of each of its settings.
    lines = touched(BASE.split("\n", 1)[1], text.split("\n", 1)[1])
    unexpected = {each for each in lines if not any(f"{key}.".startswith(f"{each}.") for key in differing)}
    assert unexpected == set()


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("a: 7       # why\n", {"a": 1000}, "a: 1000    # why\n"),
        ("a: 7 # why\n", {"a": 1000}, "a: 1000 # why\n"),
        ("a: null\nb: [1,2]\nc: 5.0e-4\n", {"b": [3]}, "a: null\nb: [3]\nc: 5.0e-4\n"),
        ("a: 5.0e-4\n", {"a": 0.0005}, "a: 5.0e-4\n"),  # the same value
        ("a: 1\n", {"a": 1.0}, "a: 1.0\n"),
        ("a: x\n", {"a": None}, "a: null\n"),
        ("a: x\n", {"a": "yes: no"}, "a: 'yes: no'\n"),
        ("a:\nb: 2", {"a": [3]}, "a: [3]\nb: 2"),
        ("a: # why\n- 1\n- 2\nb: 3\n", {"a": [4]}, "a: # why\n- 4\nb: 3\n"),
        ("a:\n  - 1\n\n# b\nb: 3\n", {"a": [4, 5]}, "a:\n  - 4\n  - 5\n\n# b\nb: 3\n"),
        ("a:\n  - 1\n\nb: 3\n", {"a": []}, "a: []\n\nb: 3\n"),
        ("a: {b: 1,\n    c: 2}\n", {"a": {"b": 3, "d": 4}}, "a: {b: 3,\n    c: 2, d: 4}\n"),
        ("a: {}\n", {"a": {"b": 1}}, "a: {b: 1}\n"),
        (
            "a:\n  b: 1   # one\n         # more\n\n# c\nc: 3\n",
            {"a": {"d": {"e": 4}}},
            "a:\n  b: 1   # one\n         # more\n  d: {e: 4}\n\n# c\nc: 3\n",
        ),
        (
            "a:\n  b:\n    c: 1\n",
            {"a": {"b": {"d": 2}, "e": {"f": {"g": 3}}}, "h": 4},
            "a:\n  b:\n    c: 1\n    d: 2\n  e:\n    f: {g: 3}\nh: 4\n",
        ),
    ],
)
def test_only_the_value_changes(before, changes, after):
    assert changed(before, changes) == after


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_value_that_another_one_refers_to_is_refused(name):
    with pytest.raises(InputError, match=f"cannot change {name}: write the file without anchors"):
        changed("a: &x [1]\nb: *x\n", {name: [2]})
