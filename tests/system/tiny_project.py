"""A project with the real settings but stages that take a moment, to test how stages are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT
from tests.system.servers import until

# work.py does what a stage does. `train` is a GPU stage.
DVC_YAML = """\
stages:
  prepare:
    cmd: python work.py prepare
    deps: [work.py]
    outs: [data/prepared]
  train:
    matrix: {percent: "${percents}"}
    cmd: python work.py train-${item.percent}
    deps: [data/prepared, "data/in/${item.percent}"]
    meta: {gpu: true}
    outs: ["data/train-${item.percent}"]
  evaluate:
    matrix: {percent: "${percents}"}
    cmd: python work.py evaluate-${item.percent}
    deps: ["data/train-${item.percent}"]
    outs: ["data/evaluate-${item.percent}"]
  report:
    cmd: python work.py report
    deps: [data/evaluate-40, data/evaluate-60]
    outs: [data/report]
"""

# control/<stage> holds a stage's behaviour: fail, busy (unreachable, once), slow, deaf to signals, sleep N,
# wait for the file control/<stage>.go, or track.
WORK = """\
import os, subprocess, sys, time
from pathlib import Path
name = sys.argv[1]
control, log = Path("control") / name, Path("log")
behaviour = control.read_text() if control.exists() else ""
parent, outside = os.environ.get("LABELMINT_PARENT_RUN", ""), os.environ.get("FROM_OUTSIDE", "")
cards = os.environ.get("CUDA_VISIBLE_DEVICES", "")
with log.open("a") as file:
    file.write(f"start {name} {time.time()} {os.getpid()} {parent} {outside} {cards}\\n")
print(f"working on {name}", flush=True)
print(f"a note of {name}", file=sys.stderr, flush=True)
if behaviour == "fail":
    sys.exit(f"error: {name}: this cannot work")
if behaviour == "busy":
    control.unlink()
    print(f"error: {name}: nothing answers", file=sys.stderr)
    sys.exit(75)
if behaviour == "track":
    from pipeline.tracking.spool import open_tracker
    tracker = open_tracker(Path.cwd(), name, None, "digits")
    for step in range(50):
        tracker.log_metrics({"loss": step}, step=step)
    tracker.close("FINISHED")
if behaviour == "slow":
    worker = subprocess.Popen(["sleep", "600"])
    (control.parent / f"{name}.pids").write_text(f"{os.getpid()} {worker.pid}")
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        sys.exit(f"error: {name}: interrupted; run again to continue")
if behaviour == "deaf":
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (control.parent / f"{name}.pids").write_text(f"{os.getpid()}")
    time.sleep(600)
if behaviour.startswith("sleep"):
    time.sleep(float(behaviour.split()[1]))
if behaviour == "wait":
    while not (control.parent / f"{name}.go").exists():
        time.sleep(0.05)
Path("data").mkdir(exist_ok=True)
(Path("data") / name.replace("prepare", "prepared")).write_text(name)
with log.open("a") as file:
    file.write(f"end {name} {time.time()}\\n")
"""


class TinyProject:
    """The project's folder, and what its stages have done."""

    def __init__(self, root: Path):
        self.root = root
        self._processes: list[subprocess.Popen[str]] = []
        root.mkdir(exist_ok=True)
        shutil.copytree(ROOT / "experiments", root / "experiments")
        text = (ROOT / "params.yaml").read_text()
        assert "percents: [40, 60, 80, 100]" in text
        (root / "params.yaml").write_text(text.replace("percents: [40, 60, 80, 100]", "percents: [40, 60]"))
        (root / "dvc.yaml").write_text(DVC_YAML)
        (root / "work.py").write_text(WORK)
        (root / "control").mkdir()
        for percent in (40, 60, 80, 100):
            (root / "data" / "in").mkdir(parents=True, exist_ok=True)
            (root / "data" / "in" / str(percent)).write_text(str(percent))
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        shutil.copytree(
            ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local")
        )
        shutil.copy(ROOT / ".dvcignore", root)

    def set_behaviour(self, stage: str, behaviour: str) -> None:
        (self.root / "control" / stage).write_text(behaviour)

    @contextmanager
    def waiting_until(self, stage: str, condition: Callable[[], object]) -> Iterator[None]:
        """Within the block, let `stage` wait until `condition()` is true.

        Raises: AssertionError if it never is.
        """
        self.set_behaviour(stage, "wait")
        errors: list[AssertionError] = []

        def release() -> None:
            try:
                until(condition)
            except AssertionError as error:
                errors.append(error)
            finally:
                (self.root / "control" / f"{stage}.go").touch()

        thread = threading.Thread(target=release)
        thread.start()
        yield
        thread.join()
        if errors:
            raise errors[0]

    def set_device(self, device: str) -> None:
        """Set `compute.device`."""
        path = self.root / "params.yaml"
        text = path.read_text()
        assert "  device: auto " in text
        path.write_text(text.replace("  device: auto ", f"  device: {device} "))

    def pids(self, stage: str) -> list[int]:
        """Process ids of a slow or deaf stage and its worker, once they run; else none."""
        path = self.root / "control" / f"{stage}.pids"
        return [int(each) for each in path.read_text().split()] if path.exists() else []

    def log(self) -> list[list[str]]:
        """Words of each line of the stages' log.

        ["start", stage, time, process id, parent run, FROM_OUTSIDE, CUDA_VISIBLE_DEVICES] or
        ["end", stage, time].
        """
        path = self.root / "log"
        return [line.split(" ") for line in path.read_text().splitlines()] if path.exists() else []

    def ran(self) -> list[str]:
        """Names of the stages that have run, in the order of their start."""
        return [line[1] for line in self.log() if line[0] == "start"]

    def environment(self, **more: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {**inherited, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", **more}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `labelmint ARGUMENTS`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def kill(self) -> None:
        """Kill the commands that still run, which a failed test has left."""
        for process in self._processes:
            process.kill()
            process.wait()

    def labelmint(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `labelmint ARGUMENTS`."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
