"""The short form of `make chaos`: three stages, a few kills. The campaign itself is for a machine that has the time."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from dvc.lock import make_lock

from labelmint.runtime import process_pool
from labelmint.runtime.errors import InputError
from pipeline.dvc.workspace_lock import locked_workspace
from tests.system.chaos import campaign, faults, kills, soak
from tests.system.chaos.faults import FAULTS
from tests.system.chaos.workspace import REPRO, Workspace, differences, kill, timeless, until
from tests.system.tiny_project import TinyProject
from tests.system.servers import surroundings


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Workspace, dict[str, str], float]:
    workspace = Workspace(tmp_path_factory.mktemp("chaos"), percents=(100,), tracking=False, target="synthesize")
    began = time.monotonic()
    assert workspace.finish() == 0, workspace.said()[-3000:]
    return workspace, workspace.outcome(), time.monotonic() - began


@pytest.fixture
def complete(undisturbed) -> tuple[Workspace, dict[str, str], float]:
    """As it was, whatever the test before left: one that fails in the middle must not have the others fail."""
    workspace, wanted, _ = undisturbed
    kill(workspace.processes())
    if differences(workspace.outcome(), wanted):
        assert workspace.finish() == 0, workspace.said()[-3000:]
    return undisturbed


@pytest.mark.slow
class TestShort:
    def test_kills_at_random_moments(self, complete):
        workspace, wanted, seconds = complete
        assert len(wanted) >= 8  # tensors of three splits, weights, images
        found = kills.campaign(
            workspace, wanted, seconds, ["KILL", "TERM", "INT"], random.Random(1), target="synthesize"
        )
        assert sum(found["hits"].values()) == 3 and found["runs"] >= 1
        assert not any(found[name] for name in ("differing", "unclear", "stuck", "strays")), found

    @pytest.mark.parametrize(("fault", "options"), [
        # The death of a server is in test_serve and test_outages, that of Dask's scheduler and flow in test_dask: they take minutes.
        (faults.read_only, {}),
        (faults.worker_death, {}),
        (faults.out_of_memory, {}),
        (faults.flipped_bits, {}),
        (faults.two_at_once, {}),
        (faults.clock_jumps, {"stages": ["prepare"]}),
        (faults.disk_full, {"stages": ["prepare"]}),
    ], ids=lambda value: getattr(value, "__name__", ""))  # fmt: skip
    def test_faults(self, complete, fault, options):
        workspace, wanted, _ = complete
        verdict = fault(workspace, wanted, **options)
        if verdict["ok"] is None:
            pytest.skip(str(verdict["said"]))
        assert verdict["ok"], verdict

    def test_load(self, complete):
        """The report of a hundred classes and forty arms is in test_report_page."""
        found = soak.load(complete[0], images=200, callers=4, classes=5, arms=0)
        assert found["ok"], found

    def test_runs_in_a_row(self, complete):
        found = soak.runs(complete[0], 3, targets=["train@40"])
        assert found["ok"], found
        assert found["runs"] == 3 and found["first_and_last"]["files in .servers"][0] > 0

    @pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
    def test_dvc_that_is_killed_takes_its_stage_and_its_workers_along(self, tmp_path, shell):
        """DVC starts stages by $SHELL, or by sh, which is dash on many systems and stays between."""
        workspace = Workspace(tmp_path, percents=(100,), tracking=False)
        workspace.change(training={"epochs": 500})  # minutes
        process = workspace.start("dvc", "repro", "train_generators", SHELL=shell)
        try:
            assert until(lambda: "train_generators's worker" in map(kills.role, workspace.processes()), 120)
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            assert until(lambda: not workspace.processes(), 30), workspace.processes()
        finally:
            kill(workspace.processes())
        assert "terminated; run again to go on" in workspace.said()

    def test_a_second_run_leaves_with_a_line(self, tmp_path):
        (tmp_path / ".dvc").mkdir()
        with locked_workspace(tmp_path):
            with (
                pytest.raises(InputError, match="another run is at work in .*; wait for it, or stop it"),
                locked_workspace(tmp_path),
            ):
                pass
            command = ["python", "-m", "pipeline.dvc.workspace_lock", "echo", "ran"]
            done = subprocess.run(command, cwd=tmp_path, env=surroundings(), capture_output=True, text=True)
            assert (
                done.returncode == 2 and done.stdout == "" and done.stderr.startswith("error: another run is at work")
            )
        done = subprocess.run(command, cwd=tmp_path, env=surroundings(), capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "ran\n")


def test_times_alone_are_left_out_of_the_comparison(tmp_path):
    (tmp_path / "a.json").write_text('{"rows": [{"accuracy": 0.5, "seconds": 3}], "seconds": 1}')
    (tmp_path / "a.csv").write_text("accuracy,seconds\n0.5,3\n")
    assert timeless(tmp_path / "a.json") == '{"rows": [{"accuracy": 0.5}]}'
    assert timeless(tmp_path / "a.csv") == "accuracy\n0.5"
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_options():
    options = campaign.parse(["--kills", "200", "--seed", "7", "--interrupts", "0", "--faults", "disk_full"])
    assert (options.kills, options.terminations, options.interrupts) == (200, 20, 0)
    assert (options.seed, options.faults) == (7, ["disk_full"])
    assert set(campaign.parse([]).faults) == set(FAULTS)


def test_workers_of_a_killed_process_end(tmp_path):
    """They would wait for their next job for ever."""
    code = (
        "import time\nfrom stages.prepare.workers import in_processes\nlist(in_processes(time.sleep, [0, 600, 600], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=surroundings())
    own = psutil.Process(process.pid)
    assert until(lambda: len(own.children()) == 2, 30)
    children = own.children()
    time.sleep(1)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(children, 30)[1]


def _kill_the_idle_one(busy: Path) -> None:
    """Of three workers with two jobs: it waits for a third, and holds the lock of the queue."""
    (busy / str(os.getpid())).touch()
    assert until(lambda: len(list(busy.iterdir())) == 2, 30)
    time.sleep(0.5)
    own = psutil.Process()
    for each in own.parent().children():
        # A worker is a fork of the tests' process, whose other children are servers of the session.
        if each.cmdline() == own.cmdline() and not (busy / str(each.pid)).exists():
            each.kill()
    time.sleep(600)


def test_workers_that_wait_for_one_that_was_killed_end(tmp_path, monkeypatch):
    """One that dies with the lock of the queue in its hand leaves the others waiting for it, and their parent for them."""
    monkeypatch.setattr(process_pool, "_SAVING_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(process_pool.in_processes(_kill_the_idle_one, [tmp_path, tmp_path], 3))
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()


@pytest.mark.parametrize(("left", "kept"), [("", False), ('{"lock', False), ("{}", True)])
def test_half_a_table_of_locks_is_no_hindrance(tmp_path, left, kept):
    """Of DVC that was killed while it wrote."""
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(left)
    with locked_workspace(tmp_path):
        assert path.exists() is kept


def test_a_table_that_another_dvc_is_about_is_left_to_it(tmp_path):
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.touch()
    with make_lock(f"{path}.lock"), locked_workspace(tmp_path):
        assert path.exists()


@pytest.mark.slow
def test_dvc_goes_on_after_half_a_table(tmp_path):
    project = TinyProject(tmp_path / "project")
    (project.root / ".dvc" / "tmp").mkdir()
    (project.root / ".dvc" / "tmp" / "rwlock").touch()
    for command, code in ((["dvc", "repro", "prepare"], 255), ([*REPRO, "prepare"], 0)):
        done = subprocess.run(command, cwd=project.root, env=project.environment(), capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert ("RWLock-file" in done.stderr) is (code != 0)
