"""The Prefect task: one stage, reproduced by DVC."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from pipeline.dvc.plan import UNCHANGED, Prediction
from pipeline.dvc.process import Dvc, is_routine
from pipeline.failures import UNREACHABLE
from pipeline.flow.heartbeat import watched
from pipeline.gpus.cards import cards_of, inherited
from pipeline.gpus.reservation import reserved

RETRY_SECONDS: list[float] = [10, 60]
RAN, RESTORED, SKIPPED = "Ran", "Restored", "Skipped"

# Parts of DVC's output.
_STATE_OF_TEXT = {
    "didn't change, skipping": UNCHANGED,
    "is cached - skipping run, checking out outputs": RESTORED,
}
_LOCK_TEXTS = (
    "Unable to acquire lock",
    "is busy, it is being blocked by",
    "Failed to acquire lock",
    "rwlock",
)


class TransientError(Exception):
    """A retry may succeed: DVC's lock was held, or a remote service did not answer."""


@dataclass(frozen=True)
class Job:
    """How to run a stage. It is plain data, so that any process can run it.

    root: the project's folder. environment: environment variables of the stage. heartbeat: the heartbeat file
    of the flow run. force: run it, changed or not. prediction: in a dry run, what would become of it. device:
    as `compute.device`, what the stage computes on; "cpu" if it needs no GPU. skip_reason: not empty for a
    stage that is not run.
    """

    root: str
    environment: dict[str, str]
    heartbeat: str
    force: bool = False
    prediction: Prediction | None = None
    device: str = "cpu"
    skip_reason: str = ""


def _is_transient(_task: Any, _run: Any, state: State) -> bool:
    try:
        state.result()
    except TransientError:
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
    cache_policy=NO_CACHE,  # DVC is the cache; a second one could contradict it
    persist_result=False,
)
def reproduce(stage: str, job: Job) -> State:
    """Reproduce one stage whose dependencies are up to date.

    Returns: a state whose name says whether the stage ran, was restored from the cache or had not changed.
    Raises: TransientError, upon which Prefect retries the task.
    """
    if job.skip_reason:
        return Cancelled(name=SKIPPED, message=job.skip_reason)
    if job.prediction:
        return Completed(name=job.prediction.verdict, message=job.prediction.reason)
    logger, heartbeat = get_run_logger(), Path(job.heartbeat)
    dvc = dvc_of(Path(job.root))
    result, errors = RAN, []

    def on_line(line: str) -> None:
        nonlocal result
        if not line.strip():
            return
        result = next((name for text, name in _STATE_OF_TEXT.items() if text in line), result)
        if is_error := line.startswith(("error:", "ERROR:")):
            errors.append(line)
        level = logging.ERROR if is_error else logging.DEBUG if is_routine(line) else logging.INFO
        logger.log(level, "%s", line)

    options = ["--force"] if job.force else []
    arguments = ["--wait-for-lock", "repro", "--single-item", *options, stage]
    # This may be a Dask worker on another machine, whose cards count and not those of the flow's machine.
    environment = {**inherited(), **job.environment}
    with reserved(cards_of(job.device, environment), heartbeat.exists, logger.info) as card:
        if not heartbeat.exists():
            return Cancelled(message="the run was stopped")
        if card.name:
            logger.info("reserved %s", card.name)
        started = time.monotonic()
        with watched(heartbeat, dvc.stop):
            # DVC holds the reservation too: if this process is killed, until DVC has stopped the stage.
            code = dvc.run(arguments, {**environment, **card.environment}, on_line, card.descriptors)
    if code == 0:
        return Completed(name=result, message=_message(result, time.monotonic() - started))
    if not heartbeat.exists():
        return Cancelled(message="stopped; run again to continue")
    output = " | ".join(errors) or f"DVC ended with {code}"
    if any(text in output for text in _LOCK_TEXTS) or f"exited with {UNREACHABLE}" in output:
        raise TransientError(output)
    return Failed(message=(errors[0] if errors else output).removeprefix("error: "))


def _message(result: str, seconds: float) -> str:
    return {
        RAN: f"ran for {seconds:.0f} s",
        RESTORED: "results of an earlier run were restored from DVC's cache",
        UNCHANGED: "none of its dependencies has changed",
    }[result]


_instances: dict[Path, Dvc] = {}


def dvc_of(root: Path) -> Dvc:
    """This process's DVC for the project, created at first use.

    On a Dask worker it lives as long as the worker.
    """
    if root not in _instances:
        _instances[root] = Dvc(root)
    return _instances[root]


def close_dvc(root: Path) -> None:
    """Stop this process's DVC for the project."""
    if root in _instances:
        _instances.pop(root).close()
