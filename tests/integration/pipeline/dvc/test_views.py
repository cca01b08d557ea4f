"""What `dvc plots` and `dvc metrics` show: measured values, one series each, and a few numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
TABLE = """\
generator,percent,seed,source,accuracy,accuracy_low,accuracy_high
dcgan,40,0,real,0.96,0.94,0.97
dcgan,40,0,synthetic,0.93,0.9,0.95
dcgan,100,0,real,0.97,0.95,0.98
dcgan,100,0,synthetic,,,
"""


@pytest.fixture
def root(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copytree(
        ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local")
    )
    (tmp_path / "results.csv").write_text(TABLE)
    (tmp_path / "training.csv").write_text("class,attempt,images_seen,g_loss\n0,0,64,1.5\n1,0,64,0.5\n")
    return tmp_path


def vega(root, file: str, definition: dict[str, str]) -> Any:
    """The specification of the page that `dvc plots show` writes."""
    options = ["--template", definition["template"], "-x", definition["x"], "-y", definition["y"]]
    command = [sys.executable, "-m", "dvc", "plots", "show", *options, "--show-vega", file]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def definition(stage: str) -> Any:
    """Properties of the only plot of a stage of the project's dvc.yaml."""
    ((found,),) = [entry.values() for entry in STAGES[stage]["plots"]]
    return found


def test_each_source_and_generator_is_a_series_with_intervals(root):
    spec = vega(root, "results.csv", definition("report"))
    text = json.dumps(spec)
    assert "<DVC_METRIC" not in text
    assert "loess" not in text and "regression" not in text
    assert spec["facet"]["column"]["field"] == "generator"
    encoding, (line, _, interval) = spec["spec"]["encoding"], spec["spec"]["layer"]
    assert (encoding["x"]["field"], encoding["color"]["field"]) == ("percent", "source")
    assert encoding["detail"]["field"] == "seed"
    assert (line["mark"]["type"], line["encoding"]["y"]["field"]) == ("line", "accuracy")
    assert {"interval_low", "interval_high"} == {interval["encoding"][axis]["field"] for axis in ("y", "y2")}
    assert {row["accuracy"] for row in spec["data"]["values"]} == {"0.96", "0.93", "0.97", ""}
    assert {"accuracy_low", "accuracy_high"} <= set(spec["data"]["values"][0])


def test_each_class_is_a_series(root):
    spec = vega(root, "training.csv", definition("train_generators"))
    assert "loess" not in json.dumps(spec)
    encoding = spec["spec"]["encoding"]
    assert (encoding["color"]["field"], encoding["detail"]["field"]) == ("class", "attempt")
    assert (encoding["x"]["field"], encoding["y"]["field"]) == ("images_seen", "g_loss")


def test_only_the_summary_is_a_metric():
    metrics = [file for stage in STAGES.values() for file in stage.get("metrics", [])]
    assert metrics == ["reports/summary.json"]


@pytest.mark.parametrize("name", ["dvc_plots/index.html", "params.yaml.kept"])
def test_git_ignores(name):
    done = subprocess.run(["git", "check-ignore", "-q", "--no-index", name], cwd=ROOT, check=False)
    assert done.returncode == 0
