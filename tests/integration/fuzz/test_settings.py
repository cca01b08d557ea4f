"""Corrupt params.yaml and experiments: one line, and nothing half written."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labelmint.runtime.errors import InputError
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from tests.conftest import ROOT
from tests.integration.fuzz.bounds import assert_one_line, bounded, time_limit
from tests.integration.fuzz.mutations import corrupt_bytes, corrupt_tree

TEXT = (ROOT / "experiments" / "default.yaml").read_bytes()
CONTENT = YAML(typ="safe").load(TEXT.decode())
OVERLAY = {
    "about": {"source": "A", "cost": "B"},
    "dataset": {"name": "mnist", "image_size": 28, "channels": 1},
    "generators": ["dcgan"],
    "families": {"dcgan": {"generator": {"filters": [32], "kernels": [4, 4]}}},
    "quick": {"training": {"epochs": 1}},
}


@bounded(50)
@given(content=corrupt_tree(CONTENT))
def test_values(content):
    try:
        settings.check(content, "params.yaml")
    except InputError as error:
        assert_one_line(error, printed=True)


@bounded()
@given(content=corrupt_bytes(TEXT))
def test_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_bytes(content)
    try:
        settings.load(path)
    except InputError as error:
        assert_one_line(error, printed=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("generators: [dcgan]", "generators: &a {b: *a}"),
        ("generators: [dcgan]", "generators: " + "[" * 45 + "]" * 45),
        ("generators: [dcgan]", "generators: 2001-13-45"),
        ("generators: [dcgan]", "generators:\n  " + "- " * 5000),
        ("seeds: [0]", f"seeds: [{'9' * 5000}]"),
        ("  cgan:", "  2001-01-01:"),
        ("  cgan:", "  ? [1, 2]\n  :"),
    ],
)
def test_unusual_yaml_is_refused(tmp_path, old, new):
    text = TEXT.decode()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1))
    with time_limit(), pytest.raises(InputError, match="params.yaml: ") as raised:
        settings.load(tmp_path / "params.yaml")
    assert_one_line(raised.value)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the project's experiments and settings."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "experiments", root / "experiments")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, root / name)
    return root


@bounded(10)
@given(overlay=corrupt_tree(OVERLAY), quick=st.booleans())
def test_experiments(checkout, overlay, quick):
    """`use` writes settings that pass the checks, or nothing."""
    (checkout / "experiments" / "fuzzed.yaml").write_text(f"# A title.\n{json.dumps(overlay)}\n")
    before = (checkout / "params.yaml").read_bytes()
    try:
        experiments.use(checkout, experiments.Choice.named(["fuzzed"], quick))
        settings.load(checkout / "params.yaml")
    except InputError as error:
        assert_one_line(error, printed=True)
        assert (checkout / "params.yaml").read_bytes() == before
    finally:
        (checkout / "experiments" / "fuzzed.yaml").unlink()
        (checkout / "params.yaml").write_bytes(TEXT)
