"""`make repro`'s command: stages that leave cores idle run beside others, and it stops as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.system.servers import until
from tests.system.tiny_project import DVC_YAML, TinyProject, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads process tables of Linux")

_BASELINE = """\
  baseline:
    cmd: python work.py baseline
    deps: [data/prepared]
    meta: {beside: true}
    outs: [data/baseline]
  report:
    cmd: python work.py report
    deps: [data/baseline, data/evaluate-40, data/evaluate-60]
"""
_REPORT = """\
  report:
    cmd: python work.py report
    deps: [data/evaluate-40, data/evaluate-60]
"""
_END_WITH_DVC = """\
from labelmint.runtime.parent_death import end_with_parent, end_with_parent_of_shell
end_with_parent()
end_with_parent_of_shell()
"""
_COMMAND = [
    sys.executable,
    "-m",
    "pipeline.dvc.workspace_lock",
    sys.executable,
    "-m",
    "pipeline.reproduction",
]
_NAMES = ["prepare", "train-40", "train-60", "evaluate-40", "evaluate-60", "baseline", "report"]


class Project(TinyProject):
    """The tiny project on a CPU, with a stage `baseline` that runs beside `train` and `evaluate`."""

    def __init__(self, root):
        super().__init__(root)
        assert _REPORT in DVC_YAML
        (root / "dvc.yaml").write_text(DVC_YAML.replace(_REPORT, _BASELINE))
        work = root / "work.py"
        work.write_text(_END_WITH_DVC + work.read_text())
        self.set_device("cpu")

    def repro(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            _COMMAND,
            cwd=self.root,
            env=self.environment(LABELMINT_GRACE="20"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def finish(self) -> tuple[int, str]:
        """Exit code and output of the command."""
        process = self.repro()
        output, _ = process.communicate(timeout=300)
        return process.returncode, output


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    yield project
    project.kill()


def test_stage_runs_beside_those_that_do_not_need_it(project):
    with project.waiting_until("baseline", lambda: "evaluate-60" in project.ran()):
        code, output = project.finish()
    assert code == 0, output
    assert sorted(project.ran()) == sorted(_NAMES)
    assert (project.ran()[0], project.ran()[-1]) == ("prepare", "report")
    assert "working on baseline" in output and "working on train-60" in output
    code, output = project.finish()
    assert (code, len(project.ran())) == (0, len(_NAMES)), output


def test_failure_of_the_first_process_stops_the_other(project):
    project.set_behaviour("baseline", "slow")
    with project.waiting_until("train-40", lambda: project.pids("baseline")):
        process = project.repro()
        until(lambda: project.pids("baseline"))
        project.set_behaviour("evaluate-40", "fail")
        output, _ = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert "evaluate-40: this cannot work" in output
    assert not any(map(is_alive, project.pids("baseline")))


def test_failure_beside_is_reported_by_the_rest(project):
    project.set_behaviour("baseline", "fail")
    code, output = project.finish()
    assert code not in (0, None)
    assert project.ran().count("baseline") == 2  # beside the others, and alone
    assert "baseline: this cannot work" in output
    assert "report" not in project.ran()
    (project.root / "control" / "baseline").unlink()
    assert project.finish()[0] == 0
    assert project.ran()[-2:] == ["baseline", "report"]


@pytest.mark.parametrize(
    ("sent", "to_group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGKILL, False, -9)],
)
def test_signal_ends_all_processes(project, sent, to_group, code):
    for name in ("baseline", "train-40"):
        project.set_behaviour(name, "slow")
    process = project.repro()
    until(lambda: project.pids("baseline") and project.pids("train-40"))
    if to_group:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    process.wait(timeout=60)
    assert process.returncode == code
    stages = [*project.pids("baseline"), project.pids("train-40")[0]]  # whose worker does not watch it
    until(lambda: not any(map(is_alive, stages)), 60)
