"""A finished flow run as Prefect's server describes it."""

from __future__ import annotations

from typing import Any


class FlowRunResult:
    """A finished flow run.

    run: Prefect's flow run. tasks: {stage: task run}. names: {stage: name of its state}. logs: its log records.
    """

    def __init__(self, client: Any, flow_run_id: Any):
        from prefect.client.schemas.filters import FlowRunFilter, LogFilter

        self.run = client.read_flow_run(flow_run_id)
        this_run = FlowRunFilter(id={"any_": [flow_run_id]})  # type: ignore[arg-type]  # pydantic converts it
        self.tasks = {run.name: run for run in client.read_task_runs(flow_run_filter=this_run)}
        self.names = {name: run.state.name for name, run in self.tasks.items()}
        log_filter = LogFilter(flow_run_id={"any_": [flow_run_id]})  # type: ignore[arg-type]  # pydantic converts it
        self.logs = client.read_logs(log_filter, limit=200)

    def needs(self, name: str) -> set[str]:
        """Names of the tasks that the task has waited for."""
        by_id = {run.id: run.name for run in self.tasks.values()}
        return {by_id[each.id] for each in self.tasks[name].task_inputs.get("wait_for", [])}


def if_complete(result: FlowRunResult) -> FlowRunResult | None:
    """The result if all its tasks have ended: their states reach the server a moment after the flow's own."""
    return result if all(run.state.is_final() for run in result.tasks.values()) else None
