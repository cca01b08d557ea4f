"""The graph of stages as DVC reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from itertools import pairwise

import pytest

from labelmint.runtime.errors import InputError
from pipeline.dvc import graph
from pipeline.dvc.position import addresses, position
from pipeline.reproduction import arranged
from pipeline.settings import schema
from tests.conftest import ROOT
from tests.system.tiny_project import DVC_YAML

STAGES = ["evaluate@40", "evaluate@60", "prepare", "report", "train@40", "train@60"]


@pytest.fixture
def root(tmp_path):
    """A DVC project with the stages of the tiny project, for 40 and 60 %."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copytree(
        ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local")
    )
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text("percents: [40, 60]\n")
    (tmp_path / "work.py").touch()
    return tmp_path


def test_positions_are_those_of_dvcs_order(root):
    settings = {"percents": [40, 60]}
    assert list(addresses(root, settings)) == [stage.name for stage in graph.read(root)]
    assert position(root, "train@60", settings) == (3, 6)
    assert position(root, "train@80", settings) is None


@pytest.fixture
def real(tmp_path):
    """The DVC project of this repository, without data."""
    for name in (".dvc", "dvc.yaml", "params.yaml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("tmp", "cache"))
        else:
            shutil.copy(source, tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_positions_in_the_real_project_are_those_of_dvcs_order(real):
    found = list(addresses(real, vars(schema.load(real / "params.yaml"))))
    assert found == [stage.name for stage in graph.read(real)]


def test_baselines_run_beside_the_training_of_generators(real):
    stages = graph.read(real)
    found = arranged(stages, {stage.name for stage in stages})
    assert found is not None
    assert found.first == ["prepare"]
    assert found.beside == [f"train_baselines@{percent}-0" for percent in (40, 60, 80, 100)]
    assert [name.split("@")[0] for name in found.meanwhile] == [
        *("train_feature_network", *["train_generators"] * 4, *["synthesize"] * 4)
    ]


def test_the_readme_draws_the_real_graph(real):
    """Each stage once, and the same needs, directly or through others."""
    (picture,) = re.findall(
        r"```mermaid\nflowchart LR\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    drawn: defaultdict[str, set[str]] = defaultdict(set)
    for line in picture.splitlines():
        for need, name in pairwise(line.split(" --> ")):
            drawn[name.strip()].add(need.strip())
    found: defaultdict[str, set[str]] = defaultdict(set)
    for stage in graph.read(real):
        found[stage.name.split("@")[0]] |= {need.split("@")[0] for need in stage.needs}

    def with_indirect(needs, name):
        return needs[name] | {far for need in needs[name] for far in with_indirect(needs, need)}

    assert {*drawn, "prepare"} == set(found)
    for name in list(found):
        assert with_indirect(drawn, name) == with_indirect(found, name), name


def test_order_needs_and_gpu(root):
    stages = {stage.name: stage for stage in graph.read(root)}
    assert sorted(stages) == STAGES
    assert stages["train@40"].gpu
    assert not stages["evaluate@40"].gpu
    assert stages["report"].needs == ("evaluate@40", "evaluate@60")
    seen: set[str] = set()
    for stage in stages.values():
        assert set(stage.needs) <= seen, "a stage comes after those that it needs"
        seen.add(stage.name)


def test_target_may_be_a_group(root):
    assert [each.name for each in graph.read(root, ["train"])] == ["prepare", "train@40", "train@60"]


def test_names_do_not_depend_on_the_current_folder(root, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert sorted(stage.name for stage in graph.read(root)) == STAGES


def test_unknown_target_is_refused(root):
    with pytest.raises(InputError, match=r"no stage 'trian' in dvc\.yaml"):
        graph.read(root, ["trian"])


def test_invalid_dvc_yaml_is_refused_in_one_line(root):
    (root / "dvc.yaml").write_text("stages: [")
    with pytest.raises(InputError, match=r"dvc\.yaml") as error:
        graph.read(root)
    assert "\n" not in str(error.value)
