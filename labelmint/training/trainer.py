"""The training loop: replicas one after another, or in groups that step together."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labelmint.training.checkpoints import SaveInterval
from labelmint.training.images import Images, image_reader
from labelmint.training.optimizers import ema_weight, learning_rate_factor
from labelmint.training.replica import Replica, ReplicaLabels, Trained
from labelmint.training.run import Run
from labelmint.training.stacked import Stacked
from labelmint.training.stopping import StopRequest, defer_signals
from labelmint.training.team import Batch, Single, Team

_CALLBACK_IMAGES = 2048

Callback = Callable[[int, int, dict[str, Any] | None], object]
"""Progress callback. Arguments: position of the replica, number of images seen since the last call, and the
row of the epoch that has just ended, or None."""

Results = Generator[tuple[int, Trained], None, None]
"""Position and result of each replica as it finishes."""


@dataclass(frozen=True)
class Setup:
    """Where and how replicas are trained. It does not change the result.

    resident_bytes: images up to this size are kept on the device.
    join: makes one team of several replicas, to train them together; None trains one after another.
    replica_class: Single or a subclass. writes_checkpoints: whether this process writes them.
    """

    device: torch.device = torch.device("cpu")
    resident_bytes: int = 1 << 30
    join: Callable[[list[Single]], Stacked] | None = None
    replica_class: type[Single] = Single
    writes_checkpoints: bool = True


_SETUP = Setup()


def train(
    replicas: Sequence[Replica],
    images: Images,
    setup: Setup = _SETUP,
    callback: Callback = lambda *_: None,
) -> Results:
    """Train `replicas`; yield each result as it is ready.

    images: of all replicas. A stop signal takes effect between two steps, after all progress has been saved.
    Raises: DivergedError; checkpoints.IdentityChangedError.
    """
    with defer_signals() as request:
        waiting = [Run(position, replica, images) for position, replica in enumerate(replicas)]
        while waiting and not request.granted:
            group = [
                run for run in waiting if run is waiting[0] or (setup.join and _can_join(run, waiting[0]))
            ]
            waiting = [run for run in waiting if run not in group]
            for run, result in _train_group(group, images, setup, callback, request):
                if result is None:
                    run.start(run.attempt + 1)
                    waiting.append(run)
                else:
                    yield run.position, result


def _can_join(run: Run, other: Run) -> bool:
    """Whether both have the same networks, step number and learning rate."""
    decays = run.replica.training.learning_rate_decay != "none"
    if (run.replica.family, run.replica.label_length) != (other.replica.family, other.replica.label_length):
        return False
    return run.step == other.step and not (decays and run.replica.steps != other.replica.steps)


def _train_group(
    group: list[Run], images: Images, setup: Setup, callback: Callback, request: StopRequest
) -> Generator[tuple[Run, Trained | None], None, None]:
    """Train runs that are at the same step until all have left.

    Yields: each run and its result, or None if it must restart.
    """
    device, first = setup.device, group[0].replica
    singles = [run.build(images.shape, device, setup.replica_class) for run in group]
    team: Team = setup.join(singles) if setup.join else singles[0]
    del singles
    read = image_reader(
        images, np.concatenate([run.replica.rows for run in group]), device, setup.resident_bytes
    )
    labels = ReplicaLabels([run.replica for run in group], device)
    starts = np.cumsum([0, *(len(run.replica.rows) for run in group)])
    offsets = {run.position: start for run, start in zip(group, starts)}
    interval, step = SaveInterval(), group[0].step
    while group:
        drawn = np.stack([run.sampler(step) + offsets[run.position] for run in group])
        indices = team.shard(drawn if setup.join else drawn[0])
        factor = learning_rate_factor(first.training.learning_rate_decay, step / group[0].replica.steps)
        images_seen = (step + 1) * first.images_per_step
        weight = ema_weight(first.training.ema_half_life, first.images_per_step, images_seen)
        team.train_step(step, Batch(read(indices), *labels(indices)), factor, weight)
        step += 1

        remaining = []
        for position, run in enumerate(group):
            run.step = step
            ended = step % run.replica.steps_per_epoch == 0
            row = run.end_of_epoch(team, position, device) if ended else None
            callback(run.position, first.images_per_step, row)
            if ended and run.must_restart():
                yield run, None
            elif step == run.replica.steps:
                yield run, run.finish(team, position, device)
            else:
                remaining.append(position)
        if len(remaining) < len(group):
            group = [group[position] for position in remaining]
            team.keep(remaining)

        stop = team.all_stop(request.number is not None, step)
        if group and setup.writes_checkpoints and (stop or interval.due()):
            started = time.monotonic()
            for position, run in enumerate(group):
                run.save(team, position)
            interval.record(time.monotonic() - started)
        if stop:
            request.grant()
            return


def throttled(callback: Callback) -> Callback:
    """The same callback for one replica, called once per epoch and every few thousand images only."""
    pending = 0

    def collect(position: int, images: int, row: dict[str, Any] | None) -> None:
        nonlocal pending
        pending += images
        if row is not None or pending >= _CALLBACK_IMAGES:
            callback(position, pending, row)
            pending = 0

    return collect
