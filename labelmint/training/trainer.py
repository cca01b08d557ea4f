"""The training loop: replicas one after another, or together on one device."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

from labelmint.training.checkpoints import SaveInterval
from labelmint.training.engine.group import LearnerGroup
from labelmint.training.images import Images
from labelmint.training.replica import Replica, Trained
from labelmint.training.run import Run, Setup
from labelmint.training.stopping import defer_signals

_CALLBACK_IMAGES = 2048


class Seen(NamedTuple):
    """Progress of a replica, numbered `position`, since its last report.

    images: number of images seen. row: of the epoch that has just ended. resumed: whether an earlier process
    saw them.
    """

    position: int
    images: int
    row: dict[str, Any] | None = None
    resumed: bool = False


Callback = Callable[[Seen], object]
"""Receiver of progress."""

Results = Generator[tuple[int, Trained], None, None]
"""Position and result of each replica as it finishes."""


_SETUP = Setup()


def train(
    replicas: Sequence[Replica],
    images: Images,
    setup: Setup = _SETUP,
    callback: Callback = lambda _: None,
) -> Results:
    """Train `replicas`; yield each result as it is ready.

    images: of all replicas. A stop signal takes effect between two steps, after all progress has been saved.
    Raises: DivergedError; checkpoints.IdentityChangedError; InputError if the memory is too small for one.
    """
    with defer_signals() as request:
        waiting = deque(Run(position, replica, images, setup) for position, replica in enumerate(replicas))
        for run in waiting:
            if run.steps_done:
                callback(Seen(run.position, run.steps_done * run.replica.images_per_step, resumed=True))
        limit = setup.at_once or len(replicas)
        group: LearnerGroup[Run] = LearnerGroup(
            setup.device, limit, setup.resident_bytes, "generators", setup.graph_class
        )
        interval = SaveInterval()
        while waiting or group.members:
            runs = group.step(waiting)
            if not runs:
                continue
            for run in runs:
                run.steps_done += 1
            stop = runs[0].learner.all_stop(request.number is not None, runs[0].steps_done)
            remaining = []
            for run in runs:
                ended = run.steps_done % run.replica.steps_per_epoch == 0
                row = run.end_of_epoch() if ended else None
                callback(Seen(run.position, run.replica.images_per_step, row))
                if ended and run.must_restart():
                    run.leave()
                    run.start(run.attempt + 1)
                    waiting.append(run)
                elif run.steps_done == run.replica.steps:
                    result = run.finish()
                    run.leave()
                    yield run.position, result
                else:
                    remaining.append(run)
            if len(remaining) < len(runs):
                group.set_members(remaining)
            if remaining and setup.writes_checkpoints and (stop or interval.due()):
                started = time.monotonic()
                for run in remaining:
                    run.save()
                interval.record(time.monotonic() - started)
            if stop:
                request.grant()
                return


def throttled(callback: Callback) -> Callback:
    """The same callback for one replica, called once per epoch and every few thousand images only."""
    pending = 0

    def collect(seen: Seen) -> None:
        nonlocal pending
        if seen.resumed:
            callback(seen)
            return
        pending += seen.images
        if seen.row is not None or pending >= _CALLBACK_IMAGES:
            callback(seen._replace(images=pending))
            pending = 0

    return collect
