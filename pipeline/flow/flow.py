"""The DAG as a Prefect flow: one task per stage, with the stage's name in DVC.

Import this after `pipeline.flow.prefect_environment.prepare`, since Prefect reads its settings when it is
imported.
"""

# No `from __future__ import annotations`: Prefect builds a pydantic model of the flow's parameters, also from
# a pickled flow, and could not look the types up by name.

import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from pydantic import Field

from labelmint.runtime.errors import InputError
from pipeline.dvc import graph, plan
from pipeline.dvc.graph import Stage
from pipeline.dvc.plan import Prediction
from pipeline.dvc.workspace_lock import locked_workspace
from pipeline.flow import prefect_environment
from pipeline.flow.artifacts import publish_results
from pipeline.flow.scheduler import Limits, Scheduler
from pipeline.flow.stage_task import Job, close_dvc, dvc_of
from pipeline.gpus.cards import cards_of
from pipeline.project import project_root
from pipeline.settings import assignments, experiments, schema
from pipeline.settings.override import overridden
from pipeline.terminal import messages_on_stderr
from pipeline.tracking.flow_run import TrackedRun
from pipeline.tracking.spool import PARENT_RUN

NAME = "labelmint"


def _run_name() -> str:
    """The experiments of the run; settings that were edited by hand are marked."""
    if experiment := (flow_run.parameters or {}).get("experiment"):
        return str(experiment)
    try:
        return experiments.label_in_use(project_root())
    except InputError:  # the run itself reports it
        return experiments.in_use(project_root()).label


@flow(name=NAME, flow_run_name=_run_name, persist_result=False)
def pipeline(  # noqa: PLR0917
    experiment: str = "",
    targets: list[str] = [],  # noqa: B006
    percents: list[int] = [],  # noqa: B006
    settings: str = "",
    force: bool = False,
    keep_going: bool = True,
    workers: Annotated[int, Field(ge=1, le=256)] | None = None,
    dry: bool = False,
) -> State:
    """Run every stage from raw data to report through DVC, which skips stages that have not changed.

    Args:
        experiment: Experiments, a later one overrides, e.g. 'mnist_quick' or 'default photos'. Empty:
            params.yaml as it is.
        targets: Stages or groups, e.g. evaluate or train_generators@dcgan-40-0, with what they need. Empty:
            all.
        percents: Percentages of the real training data for this run, in place of those in params.yaml. Empty:
            as it is.
        settings: Settings for this run, e.g. training.epochs=5 percents=[20, 100]. Empty: as they are.
        force: Run every stage, changed or not.
        keep_going: If a stage fails, run all stages that do not need it.
        workers: Number of stages that run at once; on each GPU one. Empty: one per GPU, at least one.
        dry: Only say what would run, be restored or stay unchanged, and why.
    """
    # Prefect's form for the parameters shows the descriptions of this docstring.
    root = project_root()
    try:
        with (
            messages_on_stderr(),
            locked_workspace(root),
            overridden(
                root, experiment.split(), assignments.of_run(percents, settings), restore=dry
            ) as params,
        ):
            predictions = plan.read(root, targets, force) if dry else None
            job = Job(str(root), {}, str(_heartbeat(root)), force=force)
            return _run(graph.read(root, targets), job, params, workers, keep_going, predictions)
    except InputError as error:
        get_run_logger().error("%s", error)
        return Failed(message=str(error))


def _heartbeat(root: Path) -> Path:
    return root / ".dvc" / "tmp" / f"{flow_run.id}.heartbeat"


def _run(  # noqa: PLR0917
    stages: list[Stage],
    job: Job,
    params: schema.Params,
    workers: int | None,
    keep_going: bool,
    predictions: list[Prediction] | None,
) -> State:
    """Run all stages, record the run in MLflow and in artifacts, and return the final state.

    job: the settings that all stages share. predictions: of a dry run, which only reports them.
    """
    root, heartbeat, dry = Path(job.root), Path(job.heartbeat), predictions is not None
    limits = _limits(params.compute.device, workers)
    device = "cpu" if dry else params.compute.device
    tracked = TrackedRun(root, params, flow_run.id or "", dry=dry)
    environment = prefect_environment.for_stages(root, **({PARENT_RUN: tracked.key} if tracked.key else {}))
    predicted = {each.stage: each for each in predictions or ()}
    status = "KILLED"
    heartbeat.touch()
    jobs = {
        stage.name: replace(
            job,
            environment=environment,
            device=device if stage.gpu else "cpu",
            prediction=predicted.get(stage.name),
        )
        for stage in stages
    }
    scheduler = Scheduler(stages, jobs, limits, keep_going, heartbeat)
    try:
        with ExitStack() as stack:
            pool = stack.enter_context(_runner(limits.stages))
            # Before the pool is closed, also after an error: it waits for its tasks, which wait for their
            # stages.
            stack.callback(_stop, root, heartbeat)
            outcome = scheduler.run(pool)
        status = "FINISHED" if all(state.is_completed() for state in outcome.values()) else "FAILED"
    finally:
        _stop(root, heartbeat)
        close_dvc(root)
        tracked.close(status, scheduler.states)
    if not dry:
        publish_results(root, tracked, outcome)
    return _final_state(outcome)


def _final_state(outcome: dict[str, State]) -> State:
    names = [state.name or state.type.value for state in outcome.values()]
    counts = ", ".join(f"{names.count(name)} {name.lower()}" for name in dict.fromkeys(names))
    failed = [(name, state) for name, state in outcome.items() if state.is_failed()]
    if failed:
        return Failed(message=f"{counts}. " + "; ".join(f"{name}: {state.message}" for name, state in failed))
    if any(state.is_cancelled() for state in outcome.values()):
        return Cancelled(message=counts)
    return Completed(message=counts)


def _stop(root: Path, heartbeat: Path) -> None:
    """Ask the stages that still run to end."""
    heartbeat.unlink(missing_ok=True)
    dvc_of(root).stop()


def _runner(workers: int) -> Any:
    """The task runner that `prefect_environment.choose_runner` has set."""
    if prefect_environment.runner() == "threads":
        from prefect.task_runners import ThreadPoolTaskRunner

        return ThreadPoolTaskRunner(max_workers=workers + 1)  # one more, for tasks that are only skipped
    from prefect_dask.task_runners import DaskTaskRunner

    if address := prefect_environment.dask_address():
        return DaskTaskRunner(address=address)
    cluster = {"n_workers": workers, "threads_per_worker": 2, "dashboard_address": None, "host": "127.0.0.1"}
    cluster["security"] = True  # its own certificates, or any user of this machine could send it code
    return DaskTaskRunner(cluster_kwargs=cluster)


def _limits(device: str, workers: int | None) -> Limits:
    """How many stages run at once.

    The cards of other machines, where Dask workers run the stages, are not known here: a stage waits there.
    """
    cards = 0 if prefect_environment.dask_address() else len(cards_of(device, os.environ))
    workers = workers or max(1, cards)
    return Limits(workers, cards or workers)


def terminate_like_ctrl_c() -> None:
    """Make SIGTERM stop the stages and report to Prefect, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
