"""Learners that step together on one device.

On a GPU the step of all of them is one CUDA graph, a stream each: their many small kernels run side by side,
and launching them costs no time of the host. On a CPU the same code runs one learner after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

_WARM_UP_STEPS = 3
"""Steps before a graph is captured, in which libraries choose their algorithms and learners their draws."""


class Learner(Protocol):
    """Something that is trained step by step.

    All that differs between its steps is written into tensors of the device by `prepare`, so that `step` can
    be captured once and replayed: it waits for nothing, copies nothing from the host, and reads no Python
    values that change.
    """

    def prepare(self) -> None:
        """Host: write what the next step needs."""

    def step(self) -> None:
        """Device: train for one step."""


class Graph(Protocol):
    """A recording of operations."""

    def capture(self, run: Callable[[], None]) -> None:
        """Record the operations of `run` without their effects."""

    def replay(self) -> None:
        """Run the recorded operations on the same tensors."""


class CudaGraph:
    """A CUDA graph."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def capture(self, run: Callable[[], None]) -> None:
        with torch.cuda.graph(self.graph):
            run()

    def replay(self) -> None:
        self.graph.replay()


class Together:
    """Learners of one device, each at its own step. Learners may join and leave between steps.

    graph_class: records steps; None records none. The default is a CUDA graph on a CUDA device.
    """

    def __init__(self, device: torch.device, graph_class: type[Graph] | None = None):
        self.device = device
        if graph_class is None and device.type == "cuda":
            graph_class = CudaGraph
        self.graph_class = graph_class
        self.learners: Sequence[Learner] = ()
        self._graph: Graph | None = None
        self._warm_up = 0
        self._streams: list[torch.cuda.Stream] = []

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def set_learners(self, learners: Sequence[Learner]) -> None:
        """Step with these learners from now on."""
        self.learners, self._graph, self._warm_up = list(learners), None, 0
        if self.device.type == "cuda":
            self._streams = [torch.cuda.Stream(self.device) for _ in learners]  # type: ignore[no-untyped-call]  # torch has no type

    def step(self) -> None:
        """Take one step of every learner."""
        for learner in self.learners:
            learner.prepare()
        if self.graph_class is None:
            self._run()
        elif self._warm_up < _WARM_UP_STEPS:
            self._warm_up += 1
            self._run()
        else:
            if self._graph is None:
                graph = self.graph_class()
                graph.capture(self._run)
                self._graph = graph
            self._graph.replay()

    def _run(self) -> None:
        """The steps of all learners, on a GPU side by side."""
        if not self._streams:
            for learner in self.learners:
                learner.step()
            return
        current = torch.cuda.current_stream(self.device)
        for learner, stream in zip(self.learners, self._streams, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                learner.step()
        for stream in self._streams:
            current.wait_stream(stream)
