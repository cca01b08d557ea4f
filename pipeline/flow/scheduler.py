"""Which stage is started when."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import suppress
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
from pipeline.flow.stage_task import WOULD_RUN, Job, reproduce

_TICK_SECONDS = 1.0
_CANCEL_POLL_SECONDS = 3.0


class Scheduler:
    """Submits each stage once all that it needs is done, `workers` at a time, those on the GPU one at a time."""

    def __init__(self, stages: list[Stage], jobs: dict[str, Job], workers: int, keep_going: bool, lease: Path):  # fmt: skip
        self.stages, self.jobs, self.workers = stages, jobs, workers
        self.keep_going, self.lease = keep_going, lease
        self.futures: dict[str, PrefectFuture[Any]] = {}
        self.states: dict[str, State] = {}
        self._finished: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._asked = time.monotonic()

    def run(self, pool: Any) -> dict[str, State]:
        """pool: a Prefect task runner, started. Returns: the final state of every stage. A stop from Prefect's UI ends with the rest cancelled."""
        progress = Progress(len(self.stages))
        while len(self.states) < len(self.stages):
            for stage in self._ready():
                self._submit(stage, pool)
            try:
                name = self._finished.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                self._tick()
                continue
            self.futures[name].wait()
            self.states[name] = self.futures[name].state
            progress.set(len(self.states))
            get_run_logger().info("%s: %s", name, told(self.states[name]))
        return self.states

    def _ready(self) -> Iterator[Stage]:
        for stage in self.stages:
            under_way = [name for name in self.futures if name not in self.states]
            if stage.name in self.futures or not set(stage.needs) <= self.states.keys():
                continue
            if self._hindrance(stage):
                yield stage  # takes no worker
            elif len(under_way) < self.workers and not (
                self.jobs[stage.name].gate and any(self.jobs[name].gate for name in under_way)
            ):
                yield stage

    def _hindrance(self, stage: Stage) -> str:
        bad = [name for name in stage.needs if not self.states[name].is_completed()]
        if bad:
            return f"{bad[0]} did not succeed"
        failed = [name for name, state in self.states.items() if not state.is_completed()]
        return f"{failed[0]} did not succeed, and keep_going is off" if failed and not self.keep_going else ""

    def _submit(self, stage: Stage, pool: Any) -> None:
        job = self.jobs[stage.name]
        if why := self._hindrance(stage):
            job = Job(job.root, {}, job.lease, skip_because=why)
        elif not self.lease.exists():
            job = Job(job.root, {}, job.lease, skip_because="the run was stopped")
        elif changed := [name for name in stage.needs if self.states[name].name == WOULD_RUN]:
            job = Job(job.root, {}, job.lease, assume_changed=changed[0])
        needs = [self.futures[name] for name in stage.needs]
        # Prefect takes what failed as done only where it is told so, on Dask not even then, and what was cancelled never.
        wait_for = [
            each if self.states[name].is_completed() else allow_failure(each)
            for name, each in zip(stage.needs, needs)
            if self.states[name].is_completed()
            or (self.states[name].is_failed() and isinstance(pool, ThreadPoolTaskRunner))
        ]
        future = pool.submit(reproduce, {"stage": stage.name, "job": job}, wait_for=wait_for)
        self.futures[stage.name] = future
        future.add_done_callback(lambda _, name=stage.name: self._finished.put(name))

    def _tick(self) -> None:
        """A sign of life for stages elsewhere; and is this run still wanted?"""
        with suppress(FileNotFoundError):
            if self.lease.exists():
                self.lease.touch()
        if not prefect_environment.has_server() or time.monotonic() - self._asked < _CANCEL_POLL_SECONDS:
            return
        self._asked = time.monotonic()
        with suppress(Exception):  # a server that does not answer has cancelled nothing
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(flow_run.id).state
            if state and (state.is_cancelling() or state.is_cancelled()):
                get_run_logger().info("cancelled: stopping the stages")
                self.lease.unlink(missing_ok=True)


def told(state: State) -> str:
    name = (state.name or state.type.value).lower()
    return f"{name} ({state.message})" if state.message else name
