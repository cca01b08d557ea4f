"""What the host tells a step: values in tensors of the device, and random bits that follow from a key.

A step that is captured in a CUDA graph runs the same kernels on the same tensors in every replay. All that
differs between steps is therefore written into tensors before it. On a CPU they are the host's own memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from labelmint.random_streams import Stream, fold, mix_counters, starts, starts_of

_STAGING = 4
"""Host copies that may be on their way to a GPU. The host waits before it overwrites one of them."""

_ROOT = -1

_CHAIN_ELEMENTS = 1 << 15
"""On a CPU, bits that are mixed together stay in its cache."""


class StepInput:
    """A tensor on the device that the host writes before every step. values: of `shape`."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device):
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self._staging: list[torch.Tensor] = [self.values]
        self._sent: list[torch.cuda.Event] = []
        if device.type == "cuda":
            self._staging = [torch.zeros(shape, dtype=dtype).pin_memory() for _ in range(_STAGING)]
            event: Any = torch.cuda.Event  # torch has no type for it
            self._sent = [event() for _ in range(_STAGING)]
        self._writes = 0

    def write(self, values: np.ndarray | Sequence[float] | float) -> None:
        """Set all values, without waiting for the device."""
        turn = self._writes % len(self._staging)
        if self._sent and self._writes >= len(self._staging):
            self._sent[turn].synchronize()
        self._staging[turn].copy_(torch.from_numpy(np.asarray(values)))
        if self._sent:
            self.values.copy_(self._staging[turn], non_blocking=True)
            self._sent[turn].record()
        self._writes += 1


class StepDraws:
    """The random numbers of a learner's step: streams by number, each keyed by the step's key and its number.

    Every step draws the same numbers in the same order, so the first one finds out which they are. From the
    second on, `begin` mixes the bits of all draws in one chain of operations. The bits are those of `Stream`.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.key = 0
        self._draws: list[tuple[int, int, int]] = []  # (number of the stream, draw, size)
        self._known = False
        self._next = 0
        self._bits: list[torch.Tensor] = []
        self._starts: StepInput | None = None
        self._chains: list[tuple[torch.Tensor, torch.Tensor, list[int]]] = []

    def prepare(self, key: int) -> None:
        """Host: set the key of the next step."""
        self.key = key
        if self._draws and not self._known:
            self._lay_out()
        if self._starts is not None:
            self._starts.write(self._all_starts())

    def _all_starts(self) -> np.ndarray:
        own = starts(self.key, self._streams, self._numbers)
        return np.where(self._streams == _ROOT, starts_of(self.key, self._numbers), own)

    def _lay_out(self) -> None:
        """Plan the chains, now that a step has shown its draws."""
        self._known = True
        self._streams, self._numbers = (np.array(column) for column in list(zip(*self._draws))[:2])
        self._starts = StepInput((len(self._draws),), torch.int64, self.device)
        sizes = [size for *_, size in self._draws]
        groups: list[list[int]] = [[]]
        for position, size in enumerate(sizes):
            full = sum(sizes[each] for each in groups[-1]) + size > _CHAIN_ELEMENTS
            if groups[-1] and full and self.device.type == "cpu":
                groups.append([])
            groups[-1].append(position)
        for group in groups:
            own = [sizes[position] for position in group]
            counters = torch.cat([torch.arange(1, size + 1) for size in own])
            which = torch.from_numpy(np.repeat(group, own))
            self._chains.append((mix_counters(counters).to(self.device), which.to(self.device), own))

    def begin(self) -> None:
        """Device: start a step."""
        self._next, self._bits = 0, []
        if self._starts is None:
            self._draws = []
            return
        for counters, which, sizes in self._chains:
            own_starts = torch.index_select(self._starts.values, 0, which)
            self._bits += torch.split(Stream.mix(own_starts.add_(counters)), sizes)

    def stream(self, number: int) -> Stream:
        """Stream `number` of this step, keyed by the step's key folded with the number."""
        return _StepStream(self, number)

    def root(self) -> Stream:
        """The stream of the step's key itself, for a learner that needs no other."""
        return _StepStream(self, _ROOT)

    def bits(self, stream: int, draw: int, shape: tuple[int, ...]) -> torch.Tensor:
        """The next draw of the step, int64 of `shape`."""
        size = math.prod(shape)
        if not self._known:
            self._draws.append((stream, draw, size))
            key = self.key if stream == _ROOT else fold(self.key, stream)
            return Stream(key, self.device).draw(draw, size).reshape(shape)
        if self._draws[self._next] != (stream, draw, size):
            raise RuntimeError(
                f"draw {self._next} of a step is {self._draws[self._next]}, not {stream, draw, size}"
            )
        self._next += 1
        return self._bits[self._next - 1].reshape(shape)


class _StepStream(Stream):
    def __init__(self, owner: StepDraws, number: int):
        super().__init__(0, owner.device)
        self.owner, self.number = owner, number

    def bits(self, *shape: int) -> torch.Tensor:
        self.draws += 1
        return self.owner.bits(self.number, self.draws - 1, shape)
