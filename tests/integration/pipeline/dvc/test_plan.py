"""What a dry run predicts is what the run then does."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.dvc import plan
from pipeline.dvc.plan import UNCHANGED, WOULD_BE_RESTORED, WOULD_FAIL, WOULD_RUN
from tests.conftest import ROOT

# Every stage copies its inputs into its outputs, so that a change reaches the end. `report` reads folders.
DVC_YAML = """\
stages:
  prepare:
    cmd: cat raw > data/prepared
    deps: [raw]
    params: [dataset]
    outs: [data/prepared]
  train:
    matrix: {percent: "${percents}"}
    cmd: mkdir -p data/models/${key} && cat data/prepared params.yaml > data/models/${key}/weights
    deps: [data/prepared]
    params: [training]
    outs: ["data/models/${key}"]
  evaluate:
    matrix: {percent: "${percents}"}
    cmd: mkdir -p data/metrics && cat data/models/${key}/weights > data/metrics/${key}
    deps: ["data/models/${key}/weights"]
    outs: ["data/metrics/${key}"]
  report:
    cmd: cat data/metrics/* data/models/*/* > data/report
    deps: [data/metrics, data/models]
    params: [percents]
    outs: [data/report]
"""
PARAMS = "percents: [40, 60]\ndataset: {name: digits, size: 16}\ntraining: {epochs: 7}\n"
ALL = ["prepare", "train@40", "train@60", "evaluate@40", "evaluate@60", "report"]


@pytest.fixture
def root(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copytree(
        ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local")
    )
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / ".gitignore").write_text("/data/\n")
    (tmp_path / "raw").write_text("raw")
    (tmp_path / "data").mkdir()
    return tmp_path


def dvc_repro(root: Path, output: Path) -> None:
    """Run `dvc repro` in this process, which is then of no other use, and write what it prints to a file."""
    from dvc import logger
    from dvc.cli import main

    os.environ["DVC_NO_ANALYTICS"] = "1"
    os.chdir(root)
    with output.open("w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        logger.setup()  # writes to the new streams
        code = main(["repro"])
    os._exit(code)


def repro(root: Path) -> dict[str, str]:
    """Run `dvc repro` in a forked process, which has its imports already. Returns: what each stage did."""
    output = root.parent / f"{root.name}.txt"
    process = multiprocessing.get_context("fork").Process(target=dvc_repro, args=(root, output))
    process.start()
    process.join()
    printed = output.read_text()
    texts = {
        UNCHANGED: "Stage '(.*)' didn't change, skipping",
        WOULD_BE_RESTORED: "Stage '(.*)' is cached - skipping run",
        WOULD_RUN: "Running stage '(.*)':",
    }
    if "up to date" in printed:
        return dict.fromkeys(ALL, UNCHANGED)
    assert process.exitcode == 0, printed
    return {name: verdict for verdict, text in texts.items() for name in re.findall(text, printed)}


def predicted(root: Path) -> dict[str, str]:
    return {each.stage: each.verdict for each in plan.read(root)}


def reasons(root: Path) -> dict[str, str]:
    return {each.stage: each.reason for each in plan.read(root)}


def check(root: Path) -> dict[str, str]:
    """Predict, run, and compare. Returns: what happened to each stage."""
    before = predicted(root)
    assert repro(root) == before
    assert predicted(root) == dict.fromkeys(before, UNCHANGED)
    return before


def test_predictions_are_what_the_run_does(root):
    assert set(reasons(root).values()) == {"it has no results yet"}
    assert check(root) == dict.fromkeys(ALL, WOULD_RUN)
    assert set(reasons(root).values()) == {""}

    # A setting of the middle.
    (root / "params.yaml").write_text(PARAMS.replace("epochs: 7", "epochs: 9"))
    found = reasons(root)
    assert found["train@40"] == "training.epochs: 7 -> 9"
    assert found["evaluate@40"] == "needs train@40, which would run"
    assert check(root) == {**dict.fromkeys(ALL, WOULD_RUN), "prepare": UNCHANGED}

    # Of a stage that needs it, its own changes are named too.
    (root / "params.yaml").write_text(PARAMS.replace("epochs: 7", "epochs: 11").replace("40, 60", "60, 40"))
    assert reasons(root)["report"] == (
        "percents: [40, 60] -> [60, 40]; needs evaluate@40 and 3 more, which would run"
    )

    # Back: everything that has changed is in the cache, also what depends on folders.
    (root / "params.yaml").write_text(PARAMS)
    found = reasons(root)
    assert found["train@40"] == "training.epochs: 9 -> 7"
    assert found["evaluate@40"] == "input data/models/40/weights was modified"
    assert found["report"] == "input data/metrics was modified; input data/models was modified"
    assert check(root) == {**dict.fromkeys(ALL, WOULD_BE_RESTORED), "prepare": UNCHANGED}

    # Outputs are gone, also as the stage that failed leaves them: everything is restored.
    shutil.rmtree(root / "data")
    (root / "data").mkdir()
    assert reasons(root)["prepare"] == "output data/prepared is absent"
    assert check(root) == dict.fromkeys(ALL, WOULD_BE_RESTORED)

    # An input that makes everything new.
    (root / "raw").write_text("other")
    assert reasons(root)["prepare"] == "input raw was modified"
    assert check(root) == dict.fromkeys(ALL, WOULD_RUN)

    # A new percent.
    (root / "params.yaml").write_text(PARAMS.replace("60]", "60, 80]"))
    assert reasons(root)["train@80"] == "it has no results yet"
    unchanged = dict.fromkeys(ALL[:-1], UNCHANGED)
    assert check(root) == {**unchanged, **dict.fromkeys(["train@80", "evaluate@80", "report"], WOULD_RUN)}


def test_a_failed_first_stage_leaves_a_prediction(root):
    assert repro(root) == dict.fromkeys(ALL, WOULD_RUN)
    (root / "raw").write_text("other")
    (root / "data" / "prepared").unlink()  # DVC deletes the outputs of a stage before it runs
    found = {each.stage: each for each in plan.read(root)}
    assert found["prepare"].verdict == WOULD_RUN
    assert found["prepare"].reason == "input raw was modified; output data/prepared is absent"
    assert {each.verdict for each in found.values()} == {WOULD_RUN}


def test_an_absent_input_of_no_stage_is_named(root):
    (root / "raw").unlink()
    found = {each.stage: each for each in plan.read(root)}
    assert (found["prepare"].verdict, found["prepare"].reason) == (WOULD_FAIL, "input raw is absent")
    assert found["train@40"].reason == "needs prepare, which would fail"


def test_forced_stages_run(root):
    assert {each.verdict for each in plan.read(root, ["train"], force=True)} == {WOULD_RUN}


def test_a_prediction_writes_nothing(root):
    def content() -> dict[str, bytes]:
        files = (path for path in root.rglob("*") if path.is_file() and "tmp" not in path.parts[-3:])
        return {str(path): path.read_bytes() for path in files if ".dvc/tmp" not in str(path)}

    before = content()
    plan.read(root)
    assert content() == before


def test_text_has_a_line_for_each_stage_and_counts():
    text = plan.to_text(
        [
            plan.Prediction("prepare", UNCHANGED),
            plan.Prediction("train@40", WOULD_RUN, "training.epochs: 7 -> 9"),
        ]
    )
    assert text.splitlines() == [
        "prepare   unchanged",
        "train@40  would run          training.epochs: 7 -> 9",
        "1 would run, 1 unchanged",
    ]
