"""Flow runs as Prefect's server tells of them."""

from __future__ import annotations


class Ended:
    """A flow run that is over, as Prefect's server tells of it."""

    def __init__(self, client, flow_run_id):
        from prefect.client.schemas.filters import FlowRunFilter, LogFilter

        self.run = client.read_flow_run(flow_run_id)
        only = FlowRunFilter(id={"any_": [flow_run_id]})
        self.tasks = {run.name: run for run in client.read_task_runs(flow_run_filter=only)}
        self.names = {name: run.state.name for name, run in self.tasks.items()}
        self.logs = client.read_logs(LogFilter(flow_run_id={"any_": [flow_run_id]}), limit=200)

    def needs(self, name: str) -> set[str]:
        by_id = {run.id: run.name for run in self.tasks.values()}
        return {by_id[each.id] for each in self.tasks[name].task_inputs.get("wait_for", [])}


def complete(ended: Ended) -> Ended | None:
    """Task states arrive at the server a moment after the flow has ended."""
    return ended if all(run.state.is_final() for run in ended.tasks.values()) else None
