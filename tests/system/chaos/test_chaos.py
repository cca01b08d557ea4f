"""The short form of `make chaos`: the stages up to synthesis, and three kills."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.system.chaos import campaign, faults, kills, load, soak
from tests.system.chaos.campaign import FAULTS
from tests.system.chaos.workspace import Workspace, differences, kill, occurs, without_times

Undisturbed = tuple[Workspace, dict[str, str], float]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    """A workspace, its outputs, and the seconds of an undisturbed run."""
    workspace = Workspace(
        tmp_path_factory.mktemp("chaos"), percents=(100,), tracking=False, target="synthesize"
    )
    started = time.monotonic()
    assert workspace.finish() == 0, workspace.logged()[-3000:]
    return workspace, workspace.outputs(), time.monotonic() - started


@pytest.fixture
def complete(undisturbed: Undisturbed) -> Undisturbed:
    """The same, restored if an earlier test has failed midway."""
    workspace, expected, _ = undisturbed
    kill(workspace.processes())
    if differences(workspace.outputs(), expected):
        assert workspace.finish() == 0, workspace.logged()[-3000:]
    return undisturbed


def test_kills_at_random_times(complete):
    workspace, expected, seconds = complete
    assert len(expected) >= 8  # tensors of three splits, weights, images
    signals = ["KILL", "TERM", "INT"]
    found = kills.campaign(workspace, expected, seconds, signals, random.Random(1), target="synthesize")
    assert sum(found["hits"].values()) == 3
    assert found["runs"] >= 1
    assert not any(found[name] for name in ("differing", "unclear", "stuck", "strays")), found


# Deaths of servers are in test_ui and test_outages, those of Dask's flow in test_dask.
@pytest.mark.parametrize(
    ("fault", "options"),
    [
        (faults.read_only, {}),
        (faults.worker_death, {}),
        (faults.out_of_memory, {}),
        (faults.flipped_bits, {}),
        (faults.two_at_once, {}),
        (faults.clock_jumps, {"stages": ["prepare"]}),
        (faults.disk_full, {"stages": ["prepare"]}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_faults(complete, fault, options):
    workspace, expected, _ = complete
    verdict = fault(workspace, expected, **options)
    if verdict["ok"] is None:
        pytest.skip(str(verdict["said"]))
    assert verdict["ok"], verdict


def test_load(complete):
    """Without the report, whose hundred classes and forty arms are in a test of the report's page."""
    found = load.measure(complete[0], images=200, callers=4, classes=5, arms=0)
    assert found["ok"], found


def test_runs_in_a_row(complete):
    found = soak.runs(complete[0], 3, targets=["train@40"])
    assert found["ok"], found
    assert found["runs"] == 3
    assert found["first_and_last"]["files in .servers"][0] > 0


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_killed_dvc_takes_its_stage_and_its_workers_along(tmp_path, shell):
    """DVC starts stages by $SHELL, or by sh, which is dash on many systems and remains their parent."""
    workspace = Workspace(tmp_path, percents=(100,), tracking=False)
    workspace.change(training={"epochs": 500})  # minutes
    process = workspace.start("dvc", "repro", "train_generators", SHELL=shell)
    try:
        assert occurs(lambda: "train_generators's worker" in map(kills.role, workspace.processes()), 120)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert occurs(lambda: not workspace.processes(), 30), workspace.processes()
    finally:
        kill(workspace.processes())
    assert "terminated; run again to " in workspace.logged()


def test_times_are_left_out_of_the_comparison(tmp_path):
    (tmp_path / "a.json").write_text('{"rows": [{"accuracy": 0.5, "seconds": 3}], "seconds": 1}')
    (tmp_path / "a.csv").write_text("accuracy,seconds\n0.5,3\n")
    assert without_times(tmp_path / "a.json") == '{"rows": [{"accuracy": 0.5}]}'
    assert without_times(tmp_path / "a.csv") == "accuracy\n0.5"
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_options():
    options = campaign.parse(["--kills", "200", "--seed", "7", "--interrupts", "0", "--faults", "disk_full"])
    assert (options.kills, options.terminations, options.interrupts) == (200, 20, 0)
    assert (options.seed, options.faults) == (7, ["disk_full"])
    assert set(campaign.parse([]).faults) == set(FAULTS)
