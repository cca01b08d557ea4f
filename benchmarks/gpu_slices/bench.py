"""What all slices share: the device, the time limit, members that step together, and a stopwatch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, Protocol

import numpy as np
import torch

from benchmarks.cases import replicas
from labelmint.gans.parts import Shape
from labelmint.gans.settings import Family
from labelmint.runtime.devices import arithmetic
from labelmint.runtime.settings import Compute
from labelmint.training.engine.together import Graph, Learner, Together
from labelmint.training.run import Run, Setup
from labelmint.training.settings import Training

Precision = Literal["fp32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
SEED = 0
"""Of random images; replica number n has seed n."""

_MANY_STEPS = 1_000_000
Step = Callable[[], object]
Items = dict[str, Callable[[], Any]]
"""Measurements by name, the most valuable first. Each returns what JSON can hold."""


class Slice(Protocol):
    """Measurements that are made one after the other within a time limit."""

    def items(self, bench: Bench, /) -> Items: ...
    def summarize(self, results: dict[str, Any], /) -> dict[str, Any]:
        """What the results say; `line` in a line."""


class NotNowError(Exception):
    """An item cannot be measured now, e.g. as too little time is left. The next call tries it again."""


class Member(Learner, Protocol):
    """A learner that counts its steps: a Run or a ClassifierLearner."""

    steps_done: int

    def build(self, *, resident: bool) -> None: ...


@dataclass
class Bench:
    """One device.

    tiny: sizes at which the command can be tried on a CPU. data: folder with the files of data sets, or None.
    seconds: time limit of a slice. results: of the items of the slice so far.
    """

    device: torch.device
    tiny: bool = False
    data: Path | None = None
    seconds: float = 240.0
    results: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the clock of a slice."""
        self.deadline = time.monotonic() + self.seconds

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Steps of warm-up (in which a graph is captured), rounds, and steps per round."""
        return (1, 1, 1) if self.tiny else (10, 5, 20)

    def synchronize(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def precision(self, kind: Precision) -> AbstractContextManager[None]:
        """Within it, matrix products and convolutions on a GPU have this precision. bf16 is set elsewhere."""
        return arithmetic(Compute(precision=kind), self.device)

    def time_steps(self, step: Step, images: int) -> dict[str, Any]:
        """Time of `step`, which trains on `images` images, after a warm-up: the median over rounds, ms."""
        warm_up, rounds, each = self.sizes
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        for _ in range(warm_up):
            step()
        times = []
        for _ in range(rounds):
            self.synchronize()
            started = time.perf_counter()
            for _ in range(each):
                step()
            self.synchronize()
            times.append((time.perf_counter() - started) / each)
        return {
            "ms_per_step": 1e3 * median(times),
            "ms_least": 1e3 * min(times),
            "ms_greatest": 1e3 * max(times),
            "images_per_second": images / median(times),
            "peak_memory_mib": self._peak_memory(),
        }

    def _peak_memory(self) -> float | None:
        return torch.cuda.max_memory_allocated(self.device) / 2**20 if self.is_cuda else None

    def time_preparation(self, members: Sequence[Member]) -> float:
        """Time of the host's part of a step of all members, ms."""
        times = []
        for _ in range(2 if self.tiny else 30):
            started = time.perf_counter()
            for member in members:
                member.prepare()
            times.append(time.perf_counter() - started)
            self.synchronize()
        return 1e3 * median(times)

    def runs(
        self, family: Family, training: Training, shape: Shape, count: int, *, bf16: bool, **more: Any
    ) -> list[Run]:
        """`count` generators in training on random images that are on the device.

        more: passed on to cases.replicas.
        """
        setup = Setup(self.device, bf16=bf16)
        created, images = replicas(
            family, training, shape, count=count, **({"steps": _MANY_STEPS, "images": 4096} | more)
        )
        runs = [Run(position, replica, images, setup) for position, replica in enumerate(created)]
        for run in runs:
            run.build(resident=True)
        return runs

    def random_images(self, count: int, shape: Shape) -> np.ndarray:
        """uint8 (count, C, S, S)."""
        return np.random.default_rng(SEED).integers(0, 256, (count, *shape), dtype=np.uint8)


def together(device: torch.device, members: Sequence[Member], graph_class: type[Graph] | None = None) -> Step:
    """One step of all members, as training takes it: on a GPU a captured graph, with a stream each."""
    together = Together(device, graph_class)
    together.set_learners(members)

    def step() -> None:
        together.step()
        for member in members:
            member.steps_done += 1

    return step


def one_by_one(members: Sequence[Member]) -> Step:
    """One step of one member after another, without a graph."""

    def step() -> None:
        for member in members:
            member.prepare()
            member.step()
            member.steps_done += 1

    return step


@contextmanager
def cudnn_benchmark() -> Iterator[None]:
    """Let cuDNN choose its algorithms by timing them."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def matmul_rate(bench: Bench, kind: Precision) -> float:
    """FLOP/s of a large matrix product."""
    size, repeats = (256, 2) if bench.tiny else (8192, 10)
    numbers = torch.randn(size, size, device=bench.device)
    numbers = numbers.bfloat16() if kind == "bf16" else numbers
    product = partial(torch.matmul, numbers, numbers)
    with bench.precision(kind):
        for _ in range(3):
            product()
        bench.synchronize()
        started = time.perf_counter()
        for _ in range(repeats):
            product()
        bench.synchronize()
    return float(repeats * 2 * size**3 / (time.perf_counter() - started))
