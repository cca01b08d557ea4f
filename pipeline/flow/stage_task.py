"""The Prefect task: one stage, reproduced by DVC."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.states import Cancelled, Completed, Failed

from pipeline.dvc.process import Dvc
from pipeline.flow.heartbeat import watched
from pipeline.stage import UNREACHABLE

RETRY_SECONDS: list[float] = [10, 60]
GPU_LIMIT = "gpu"
_GATE_SECONDS = 5.0
RAN, RESTORED, UNCHANGED, WOULD_RUN, SKIPPED = "Ran", "Restored", "Unchanged", "WouldRun", "Skipped"

# What DVC prints, and what it means.
_MARKS = {"didn't change, skipping": UNCHANGED, "is cached - skipping run, checking out outputs": RESTORED}
_BUSY = ("Unable to acquire lock", "is busy, it is being blocked by", "Failed to acquire lock", "rwlock")
_CHATTER = (
    *(
        "Updating lock file",
        "Generating lock file",
        "To track the changes with git",
        "\tgit add",
        "To enable auto staging",
    ),
    *("\tdvc config core.autostage", "Use `dvc push`", "Data and pipelines are up to date"),
)


class Transient(Exception):
    """Trying again may help: a lock, or something elsewhere that did not answer."""


@dataclass(frozen=True)
class Job:
    """How a stage is to be run. All of it is data, so that any process can do it.

    skip_because: it is not run at all. assume_changed: in a dry run, a stage that it needs and that would run.
    """

    root: str
    environment: dict[str, str]
    lease: str
    force: bool = False
    dry: bool = False
    gate: bool = False
    skip_because: str = ""
    assume_changed: str = ""


def _is_transient(_task: Any, _run: Any, state: State) -> bool:
    try:
        state.result()
    except Transient:
        return True
    except BaseException:
        return False
    return False


@task(
    name="stage",
    task_run_name="{stage}",
    retries=len(RETRY_SECONDS),
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=_is_transient,
    cache_policy=NO_CACHE,  # DVC is the cache; a second one would disagree with it
    persist_result=False,
)
def reproduce(stage: str, job: Job) -> State:
    """Reproduce one stage, whose needs are met. The state's name says whether it ran, was restored or had not changed."""
    if job.skip_because:
        return Cancelled(name=SKIPPED, message=job.skip_because)
    if job.assume_changed:
        return Completed(name=WOULD_RUN, message=f"unless {job.assume_changed} gives the same again")
    logger, lease = get_run_logger(), Path(job.lease)
    dvc = dvc_of(Path(job.root))
    found, errors = RAN, []

    def on_line(line: str) -> None:
        nonlocal found
        if not line.strip():
            return
        found = next((name for mark, name in _MARKS.items() if mark in line), found)
        if wrong := line.startswith(("error:", "ERROR:")):
            errors.append(line)
        quiet = line.startswith(_CHATTER)
        logger.log(logging.ERROR if wrong else logging.DEBUG if quiet else logging.INFO, "%s", line)

    command = ["--wait-for-lock", "repro", "--single-item", *(["--force"] if job.force else []), *(["--dry"] if job.dry else []), stage]  # fmt: skip
    started = time.monotonic()
    with _gate(lease) if job.gate else nullcontext():
        if not lease.exists():
            return Cancelled(message="the run was stopped")
        with watched(lease, dvc.stop):
            code = dvc.run(command, job.environment, on_line)
    if code == 0:
        if job.dry and found == RAN:
            return Completed(name=WOULD_RUN, message="its code, settings or inputs have changed")
        return Completed(name=found, message=_told(found, time.monotonic() - started))
    if not lease.exists():
        return Cancelled(message="stopped; run again to go on")
    said = " | ".join(errors) or f"DVC ended with {code}"
    if any(mark in said for mark in _BUSY) or f"exited with {UNREACHABLE}" in said:
        raise Transient(said)
    return Failed(message=(errors[0] if errors else said).removeprefix("error: "))


def _told(found: str, seconds: float) -> str:
    return {RAN: f"ran for {seconds:.0f} s", RESTORED: "results of an earlier run came back from DVC's cache", UNCHANGED: "nothing it depends on has changed"}[found]  # fmt: skip


def _gate(lease: Path) -> ExitStack:
    """One stage at a time on the GPU, over all flow runs of one Prefect server. Waits in short turns, to notice a stop."""
    stack = ExitStack()
    while lease.exists():
        try:
            # A lease that could not be renewed must not end a stage that has trained for hours.
            turn = concurrency(GPU_LIMIT, timeout_seconds=_GATE_SECONDS, raise_on_lease_renewal_failure=False)
            stack.enter_context(turn)
            break
        except TimeoutError:
            continue
    return stack


_running: dict[Path, Dvc] = {}


def dvc_of(root: Path) -> Dvc:
    """This process's DVC, started at first need. On a Dask worker it lives as long as the worker."""
    if root not in _running:
        _running[root] = Dvc(root)
    return _running[root]


def close_dvc(root: Path) -> None:
    if root in _running:
        _running.pop(root).close()
