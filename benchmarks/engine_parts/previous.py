"""The engine of this checkout against that of another one, e.g. of an earlier commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

from benchmarks.cases import ROOT, Row, cases
from labelmint.runtime.errors import InputError

_WORKER = Path(__file__).parent / "worker.py"
_ROUNDS = 7
_STEPS = {"digits, 16 px": 60, "MNIST (mnist_quick), 28 px": 20, "32 px, half of Radford's widths": 10}
"""Steps per round, so that each side takes one or two seconds."""
_WARM_UP = 3


class Worker:
    """A process with the engine of one checkout."""

    def __init__(self, checkout: Path):
        self.checkout = checkout
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(checkout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            encoding="utf-8",
        )

    def step_seconds(self, request: dict[str, Any]) -> list[float]:
        """Processor seconds of the steps after the warm-up. Raises: InputError if the process has ended."""
        requests, answers = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        with suppress(BrokenPipeError):
            print(json.dumps(request), file=requests, flush=True)
        if not (answer := answers.readline()):
            raise InputError(f"{self.checkout}: its engine failed, as its message above says")
        times: list[float] = json.loads(answer)
        return times[_WARM_UP:]


@contextmanager
def _workers(*checkouts: Path) -> Iterator[list[Worker]]:
    started = [Worker(checkout) for checkout in checkouts]
    try:
        yield started
    finally:
        for worker in started:
            worker.process.terminate()
            worker.process.wait()


def against_checkout(checkout: Path, rounds: int = _ROUNDS) -> list[Row]:
    """A row per case: images of one replica per second of one thread's time, both engines in turn (ABAB).

    checkout: folder with the other engine. Its settings must have the names of this checkout's.
    ratio: median over rounds of this engine's speed over the other's. The other one goes first, since it is
    the one that may fail.
    """
    rows = []
    with _workers(ROOT, checkout) as (this, other):
        for name, (family, training, shape, _) in cases().items():
            request = {
                "family": asdict(family),
                "training": asdict(training),
                "shape": shape,
                "steps": _STEPS[name] + _WARM_UP + 1,
            }
            pairs = [
                (median(other.step_seconds(request)), median(this.step_seconds(request)))
                for _ in range(rounds)
            ]
            ratios = sorted(previous / own for previous, own in pairs)
            batch = training.batch_size
            rows.append(
                {
                    "networks": name,
                    "batch": batch,
                    "images_per_second": batch / median(own for _, own in pairs),
                    "previous_images_per_second": batch / median(previous for previous, _ in pairs),
                    "ratio": median(ratios),
                    "least_ratio": ratios[0],
                    "greatest_ratio": ratios[-1],
                }
            )
    return rows
