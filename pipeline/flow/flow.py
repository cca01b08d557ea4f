"""The DAG as a Prefect flow: one task a stage, named as DVC names it.

Import this after `pipeline.flow.prefect_environment.prepare`, since Prefect reads its settings when it is imported.
"""

# No `annotations` of __future__: Prefect makes a model of the flow's parameters, also where the flow came pickled, and
# must not have to look their types up by name.

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from pydantic import Field

from labelmint.runtime.errors import InputError
from pipeline.dvc import graph
from pipeline.dvc.graph import Stage
from pipeline.dvc.workspace_lock import locked_workspace
from pipeline.flow import prefect_environment
from pipeline.flow.artifacts import publish_results
from pipeline.flow.scheduler import Scheduler
from pipeline.flow.stage_task import GPU_LIMIT, Job, close_dvc, dvc_of
from pipeline.project import project_root
from pipeline.settings import experiments
from pipeline.settings.override import overridden
from pipeline.tracking.pipeline_run import TrackedRun
from pipeline.tracking.spool import PARENT_RUN

NAME = "labelmint"


def _run_name() -> str:
    return (flow_run.parameters or {}).get("experiment") or experiments.in_use(project_root()).label


@flow(name=NAME, flow_run_name=_run_name, persist_result=False)
def pipeline(
    experiment: str = "",
    targets: list[str] = [],  # noqa: B006
    percents: list[int] = [],  # noqa: B006
    force: bool = False,
    keep_going: bool = True,
    workers: Annotated[int, Field(ge=1, le=256)] = 1,
    dry: bool = False,
) -> State:
    """From raw data to the report, each stage by DVC: what has not changed is not run again.

    Args:
        experiment: Experiments, one laid over the other, such as 'mnist_quick' or 'default photos'. Empty: params.yaml as it is.
        targets: Stages or groups, such as evaluate or train_generators@dcgan-40-0, with what they need. Empty: all.
        percents: Shares of the real data, in place of those in params.yaml. Empty: as it is.
        force: Run every stage, changed or not.
        keep_going: When a stage fails, run all that does not need it.
        workers: Stages at once; one of them at most on the GPU.
        dry: Only say what would run.
    """
    # Prefect reads the descriptions of its form from here, and from nowhere else.
    root = project_root()
    try:
        with locked_workspace(root), overridden(root, experiment.split(), percents, restore=dry) as settings:
            stages = graph.read(root, targets)
            gate, how = _takes_turns(settings.compute.device), dict(force=force, dry=dry)
            return _run(root, stages, settings, workers, keep_going, how, gate)
    except InputError as error:
        get_run_logger().error("%s", error)
        return Failed(message=str(error))


def _run(root: Path, stages: list[Stage], settings: Any, workers: int, keep_going: bool, how: dict[str, bool], gate: bool) -> State:  # fmt: skip
    """Reproduce all stages, tell MLflow and the artifacts, and say how it ended."""
    tracked = TrackedRun(root, settings, flow_run.id or "", dry=how["dry"])
    environment = prefect_environment.for_stages(root, **({PARENT_RUN: tracked.key} if tracked.key else {}))
    status, lease = "KILLED", root / ".dvc" / "tmp" / f"{flow_run.id}.lease"
    lease.touch()
    dvc_of(root)  # imports DVC meanwhile
    jobs = {
        stage.name: Job(str(root), environment, str(lease), force=how["force"], dry=how["dry"], gate=gate and stage.gpu)
        for stage in stages
    }
    scheduler = Scheduler(stages, jobs, workers, keep_going, lease)
    try:
        with ExitStack() as stack:
            pool = stack.enter_context(_runner(workers))
            # Before the pool ends, and whatever happens: it waits for its tasks, which wait for their stages.
            stack.callback(_stop, root, lease)
            outcome = scheduler.run(pool)
        status = "FINISHED" if all(state.is_completed() for state in outcome.values()) else "FAILED"
    finally:
        _stop(root, lease)
        close_dvc(root)
        tracked.close(status, scheduler.states)
    if not how["dry"]:
        publish_results(root, tracked, outcome)
    return _ended(outcome)


def _ended(outcome: dict[str, State]) -> State:
    kinds = [state.name or state.type.value for state in outcome.values()]
    counted = ", ".join(f"{kinds.count(kind)} {kind.lower()}" for kind in dict.fromkeys(kinds))
    failed = [(name, state) for name, state in outcome.items() if state.is_failed()]
    if failed:
        return Failed(message=f"{counted}. " + "; ".join(f"{name}: {state.message}" for name, state in failed))
    if any(state.is_cancelled() for state in outcome.values()):
        return Cancelled(message=counted)
    return Completed(message=counted)


def _stop(root: Path, lease: Path) -> None:
    """All that still runs is asked to end; what has ended is not disturbed."""
    lease.unlink(missing_ok=True)
    dvc_of(root).stop()


def _runner(workers: int) -> Any:
    """As `surroundings.choose_runner` said."""
    if os.environ.get(prefect_environment.RUNNER, "threads") == "threads":
        from prefect.task_runners import ThreadPoolTaskRunner

        return ThreadPoolTaskRunner(max_workers=workers + 1)  # one more, for tasks that only say why they do not run
    from prefect_dask.task_runners import DaskTaskRunner

    if address := os.environ.get(prefect_environment.DASK_ADDRESS):
        return DaskTaskRunner(address=address)
    cluster = {"n_workers": workers, "threads_per_worker": 2, "dashboard_address": None, "host": "127.0.0.1"}
    cluster["security"] = True  # certificates of its own, or any user of this machine could send it code
    return DaskTaskRunner(cluster_kwargs=cluster)


def _takes_turns(device: str) -> bool:
    """Whether there is a GPU. Then its limit is made at the server, where a person may raise it for several runs at once."""
    if not _has_gpu(device):
        return False
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU_LIMIT)
        except ObjectNotFound:
            client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, 1)
    return True


def _has_gpu(device: str) -> bool:
    if device != "auto":
        return device != "cpu"
    try:
        import pynvml

        pynvml.nvmlInit()
        return bool(pynvml.nvmlDeviceGetCount() > 0)
    except Exception:  # no library, no driver or no card: all the same here
        return False


def terminate_like_ctrl_c() -> None:
    """SIGTERM stops stages and tells Prefect, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
