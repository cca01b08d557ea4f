"""A group of learners that step together, as many at once as the device's memory holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.training.engine.together import Graph, Learner, Together


class Member(Learner, Protocol):
    """A learner that occupies the device between `build` and `leave`.

    saved: state that `build` continues from. image_bytes: size of its images.
    """

    saved: Any

    @property
    def image_bytes(self) -> int: ...

    def build(self, *, resident: bool) -> None:
        """Put networks on the device, and its images if they are `resident`."""

    def leave(self) -> None:
        """Release what `build` has built."""

    def state(self) -> Any:
        """Everything that training changes: tensors, and lists and dicts of tensors."""


M = TypeVar("M", bound=Member)


class LearnerGroup(Generic[M]):
    """Members that step together.

    limit: members at once. resident_bytes: images up to this size are kept on the device. kind: what they
    are, for messages. graph_class: see Together.
    """

    def __init__(
        self,
        device: torch.device,
        limit: int,
        resident_bytes: int,
        kind: str,
        graph_class: type[Graph] | None = None,
    ):
        self.device, self.limit, self.resident_bytes, self.kind = device, limit, resident_bytes, kind
        self.together = Together(device, graph_class)
        self.members: list[M] = []

    def set_members(self, members: Sequence[M]) -> None:
        self.members = list(members)
        self.together.set_learners(self.members)

    def step(self, waiting: deque[M]) -> list[M]:
        """Take members from the front of `waiting` up to the limit, and take a step of all.

        Where the memory is too small, half of the members go back to the front of `waiting`, in the state
        before the step. Returns: the members that have taken a step; none if it has to be repeated.
        Raises: InputError if one member is too large for the device.
        """
        before: list[Any] = []
        try:
            self._admit(waiting)
            # Memory runs out while the graph is made, in the middle of a step.
            if self.together.graph_class is not None and not self.together.captured:
                before = [copied(member.state()) for member in self.members]
            self.together.step()
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            self._halve(waiting, before)
            return []
        return self.members

    def _admit(self, waiting: deque[M]) -> None:
        new = [waiting.popleft() for _ in range(min(self.limit - len(self.members), len(waiting)))]
        if not new:
            return
        size = sum(member.image_bytes for member in [*self.members, *new])
        for position, member in enumerate(new):
            try:
                member.build(resident=size <= self.resident_bytes)
            except torch.OutOfMemoryError:
                waiting.extendleft(reversed(new[position:]))
                self.set_members([*self.members, *new[:position]])
                raise
        self.set_members([*self.members, *new])

    def _halve(self, waiting: deque[M], before: list[Any]) -> None:
        count = len(self.members)
        if count < 2:
            raise InputError(
                f"compute.device: {self.device} has too little memory for one of the {self.kind}; lower the "
                "batch size, or compute.resident_bytes"
            )
        self.limit = count // 2
        say(f"{self.device}: out of memory with {count} {self.kind} at once; going on with {self.limit}")
        states = before or [copied(member.state()) for member in self.members]
        for member, state in zip(self.members, states, strict=True):
            member.leave()
            member.saved = state
        waiting.extendleft(reversed(self.members))
        self.set_members([])
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def copied(state: Any) -> Any:
    """A copy of tensors on the CPU, in the same dicts and lists."""
    if isinstance(state, dict):
        return {name: copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state.detach().to("cpu", copy=True)


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether a GPU's memory was too small. A failed capture hides the cause behind an error of its own."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
