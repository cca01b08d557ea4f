"""Flow runs as Prefect's server describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def flow_runs(client: Any, **conditions: Any) -> list[Any]:
    """Flow runs that meet the conditions of Prefect's FlowRunFilter."""
    from prefect.client.schemas.filters import FlowRunFilter

    return list(client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(conditions)))


def running_flow_runs(client: Any) -> list[Any]:
    """Flow runs in the state RUNNING."""
    return flow_runs(client, state={"type": {"any_": ["RUNNING"]}})


def logs_of(client: Any, flow_run_ids: Sequence[Any]) -> list[Any]:
    """Log records of the flow runs."""
    from prefect.client.schemas.filters import LogFilter

    log_filter = LogFilter.model_validate({"flow_run_id": {"any_": list(flow_run_ids)}})
    return list(client.read_logs(log_filter, limit=200))


class FlowRunResult:
    """A finished flow run.

    run: Prefect's flow run. tasks: {stage: task run}. names: {stage: name of its state}. logs: its records.
    """

    def __init__(self, client: Any, flow_run_id: Any):
        from prefect.client.schemas.filters import FlowRunFilter

        self.run = client.read_flow_run(flow_run_id)
        this_run = FlowRunFilter.model_validate({"id": {"any_": [flow_run_id]}})
        self.tasks = {run.name: run for run in client.read_task_runs(flow_run_filter=this_run)}
        self.names = {name: run.state.name for name, run in self.tasks.items()}
        self.logs = logs_of(client, [flow_run_id])

    def needs(self, name: str) -> set[str]:
        """Names of the tasks that the task has waited for."""
        by_id = {run.id: run.name for run in self.tasks.values()}
        return {by_id[each.id] for each in self.tasks[name].task_inputs.get("wait_for", [])}


def if_complete(result: FlowRunResult) -> FlowRunResult | None:
    """The result if all its tasks have ended: their states reach the server a moment after the flow's own."""
    return result if all(run.state.is_final() for run in result.tasks.values()) else None
