"""`dvc repro` of the whole pipeline, in which stages that leave cores idle run beside others.

`python -m pipeline.reproduction [ARGUMENT...]`, which `make repro` starts. DVC reproduces one stage after
another. Stages that dvc.yaml marks by `meta: {beside: true}` are reproduced by a second process of DVC, while
the first goes on with those that neither need them nor are needed by them. Then `dvc repro` reproduces the
rest, also what failed beside it. Results are the same.

With arguments, on a GPU, with one core or a number of workers in params.yaml, it is `dvc repro` alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labelmint.runtime.devices import available_cores
from labelmint.runtime.errors import InputError
from labelmint.runtime.parent_death import end_with_parent
from labelmint.runtime.progress import say
from pipeline.dvc import graph, plan
from pipeline.dvc.graph import Stage
from pipeline.dvc.process import Dvc, is_routine
from pipeline.failures import Terminated, outcome, sigterm_raises
from pipeline.gpus.cards import cards_of
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema
from pipeline.terminal import messages_on_stderr, write_utf8
from pipeline.tracking.owner import RUN_OWNER, Owner

_DVC = [sys.executable, "-m", "dvc"]
_STAGES = ["--wait-for-lock", "repro", "--single-item"]
"""Arguments before the names of stages whose needs are up to date."""


@dataclass(frozen=True)
class Arrangement:
    """Names of stages that are not up to date, in their order.

    first: needed by those beside. beside: in the second process. meanwhile: in the first process.
    """

    first: list[str]
    beside: list[str]
    meanwhile: list[str]


def arranged(stages: Sequence[Stage], stale: set[str]) -> Arrangement | None:
    """Which stages run beside which; None if none does. stages: all, each after those that it needs."""
    beside = {stage.name for stage in stages if stage.beside}
    needed, dependent = set[str](), set(beside)
    for stage in reversed(stages):
        if stage.name in beside | needed:
            needed |= set(stage.needs)
    for stage in stages:
        if dependent & set(stage.needs):
            dependent.add(stage.name)

    def of(wanted: Callable[[str], bool]) -> list[str]:
        return [stage.name for stage in stages if stage.name in stale and wanted(stage.name)]

    found = Arrangement(
        of(lambda name: name in needed - beside),
        of(lambda name: name in beside),
        of(lambda name: name not in needed | dependent),
    )
    return found if found.beside and found.meanwhile else None


def main(arguments: list[str]) -> int:
    """Reproduce the pipeline in the current folder. Returns: the exit code, if DVC does not take over."""
    root = Path.cwd()
    write_utf8()
    try:
        with messages_on_stderr(), sigterm_raises():
            if not arguments and (found := _arrangement(root)) and (code := _side_by_side(root, found)):
                return code
    except (KeyboardInterrupt, Terminated) as error:
        return outcome(error)[1]
    # DVC's own program and the user's arguments, without a shell.
    os.execv(sys.executable, [*_DVC, "repro", *arguments])  # nosec B606


def _arrangement(root: Path) -> Arrangement | None:
    """What runs beside what; None if nothing does, or where DVC's own command is to say what is wrong."""
    try:
        compute = schema.load(root / PARAMS_FILE).compute
        if compute.workers != "auto" or compute.cluster or available_cores() < 2:
            return None
        if cards_of(compute.device, os.environ):
            return None
        stages, predictions = graph.read(root), plan.read(root, (), force=False)
    except InputError:
        return None
    if any(each.verdict == plan.WOULD_FAIL for each in predictions):
        return None
    return arranged(stages, {each.stage for each in predictions if each.verdict != plan.UNCHANGED})


def _side_by_side(root: Path, found: Arrangement) -> int:
    """Reproduce the stages of an arrangement. Returns: the exit code of the first process, from 0."""
    os.environ[RUN_OWNER] = Owner.of_this_process().key  # one run for all these processes of DVC
    if found.first and (code := _ended(_started(found.first))):
        return code
    process = _started(found.meanwhile)  # before the thread of those beside: a fork copies its locks
    with _beside(root, found.beside) as second:
        code = _ended(process)
        if code:
            second.stop()
    return code


def _started(stages: Sequence[str]) -> subprocess.Popen[bytes]:
    """DVC in this terminal, reproducing stages whose needs are up to date.

    It inherits the lock of the workspace, and ends with this process.
    """
    return subprocess.Popen(
        [*_DVC, *_STAGES, *stages],
        close_fds=False,
        preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509  # there is no other thread yet
    )


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for DVC's end. Returns: its exit code, or 128 and the number of the signal that ended it."""
    try:
        code = process.wait()
    except KeyboardInterrupt:  # which DVC has got too: it stops its stage
        process.wait()
        raise
    except Terminated:
        process.terminate()
        process.wait()
        raise
    return code if code >= 0 else 128 - code


@contextmanager
def _beside(root: Path, stages: Sequence[str]) -> Iterator[Dvc]:
    """Reproduce `stages` within the block in a process of their own, showing what they print.

    At the end of the block they are waited for, or stopped if it raises. An error of theirs is only printed:
    DVC's command for the rest repeats them.
    """
    dvc = Dvc(root, ahead=False)

    def show(line: str) -> None:
        if not is_routine(line):
            say(line)

    thread = threading.Thread(target=dvc.run, args=([*_STAGES, *stages], dict(os.environ), show))
    thread.start()
    try:
        yield dvc
        thread.join()
    except BaseException:
        dvc.stop()
        thread.join()
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
