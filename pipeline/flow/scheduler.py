"""The order in which stages are started."""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import allow_failure

from pipeline.dvc.graph import Stage
from pipeline.flow import prefect_environment
from pipeline.flow.artifacts import Progress
from pipeline.flow.stage_task import Job, reproduce

_TICK_SECONDS = 1.0
_CANCEL_POLL_SECONDS = 3.0


@dataclass(frozen=True)
class Limits:
    """Largest numbers of stages that run at once: of all, and of those that compute on a GPU."""

    stages: int
    on_gpus: int


class Scheduler:
    """Submits each stage when all stages that it needs are done.

    At most `limits.stages` run at once, of which `limits.on_gpus` on GPUs. states: the final states so far.
    """

    def __init__(
        self, stages: list[Stage], jobs: dict[str, Job], limits: Limits, keep_going: bool, heartbeat: Path
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.jobs, self.limits, self.keep_going, self.heartbeat = jobs, limits, keep_going, heartbeat
        self.states: dict[str, State] = {}
        self._futures: dict[str, PrefectFuture[Any]] = {}
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._last_cancel_poll = time.monotonic()

    def run(self, pool: Any) -> dict[str, State]:
        """Run all stages. If the run is cancelled in Prefect's UI, the remaining stages are cancelled.

        pool: a started Prefect task runner. Returns: the final state of every stage.
        """
        progress = Progress(len(self.stages))
        order = TopologicalSorter({name: stage.needs for name, stage in self.stages.items()})
        order.prepare()
        waiting: set[str] = set()
        while order.is_active():
            waiting.update(order.get_ready())
            for name in [name for name in self.stages if name in waiting]:
                if self._may_start(name):
                    self._submit(name, pool)
                    waiting.remove(name)
            try:
                name = self._finished.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                self._tick()
                continue
            self._futures[name].wait()
            self.states[name] = self._futures[name].state
            order.done(name)
            progress.set(len(self.states))
            finished = f"{len(self.states)} of {len(self.stages)} stages"
            get_run_logger().info("%s: %s; %s", name, status_message(self.states[name]), finished)
        return self.states

    def _may_start(self, name: str) -> bool:
        if self._skip_reason(name):
            return True  # takes no worker
        running = [other for other in self._futures if other not in self.states]
        on_gpus = sum(self.jobs[other].device != "cpu" for other in running)
        # A stage that has to wait for a GPU must not take the place of one that needs none.
        gpu_is_free = self.jobs[name].device == "cpu" or on_gpus < self.limits.on_gpus
        return len(running) < self.limits.stages and gpu_is_free

    def _skip_reason(self, name: str) -> str:
        for need in self.stages[name].needs:
            if not self.states[need].is_completed():
                return f"{need} did not succeed"
        failed = [other for other, state in self.states.items() if not state.is_completed()]
        return f"{failed[0]} did not succeed, and keep_going is off" if failed and not self.keep_going else ""

    def _submit(self, name: str, pool: Any) -> None:
        job, needs = self.jobs[name], self.stages[name].needs
        if reason := self._skip_reason(name):
            job = replace(job, environment={}, skip_reason=reason)
        elif not self.heartbeat.exists():
            job = replace(job, environment={}, skip_reason="the run was stopped")
        # Prefect accepts a failed dependency only if it is marked, on Dask not even then, and a cancelled one
        # never.
        wait_for = [
            self._futures[need] if self.states[need].is_completed() else allow_failure(self._futures[need])
            for need in needs
            if self.states[need].is_completed()
            or (self.states[need].is_failed() and isinstance(pool, ThreadPoolTaskRunner))
        ]
        future = pool.submit(reproduce, {"stage": name, "job": job}, wait_for=wait_for)
        self._futures[name] = future
        future.add_done_callback(lambda _: self._finished.put(name))

    def _tick(self) -> None:
        """Touch the heartbeat file, and stop the stages if the run was cancelled in Prefect's UI."""
        with suppress(FileNotFoundError):
            if self.heartbeat.exists():
                self.heartbeat.touch()
        if (
            not prefect_environment.has_server()
            or time.monotonic() - self._last_cancel_poll < _CANCEL_POLL_SECONDS
        ):
            return
        self._last_cancel_poll = time.monotonic()
        with suppress(Exception):  # a server that does not answer has cancelled nothing
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(flow_run.id).state
            if state and (state.is_cancelling() or state.is_cancelled()):
                get_run_logger().info("cancelled: stopping the stages")
                self.heartbeat.unlink(missing_ok=True)


def status_message(state: State) -> str:
    """Name and message of a state, e.g. "ran (ran for 3 s)"."""
    name = (state.name or state.type.value).lower()
    return f"{name} ({state.message})" if state.message else name
