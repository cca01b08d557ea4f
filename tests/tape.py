"""The semantics of a CUDA graph on a CPU: operations are recorded once and replayed on the same tensors.

Python values are frozen, and a step that reads a value back from the device is illegal, as in a capture.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_SYNCHRONIZES = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique")


class IllegalError(RuntimeError):
    """An operation that no capture allows."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if any(name in str(function) for name in _SYNCHRONIZES):
            raise IllegalError(f"{function} in a capture")
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, result))
        return result


class Tape:
    """A together.Graph. Recording takes effect on a CPU, so the first replay is the recording itself."""

    def __init__(self) -> None:
        self.recorder = _Recorder()
        self.fresh = True

    def capture(self, run: Callable[[], None]) -> None:
        with self.recorder:
            run()

    @torch.no_grad()
    def replay(self) -> None:
        if self.fresh:
            self.fresh = False
            return
        for function, args, kwargs, result in self.recorder.operations:
            again = function(*args, **kwargs)
            for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old is not new and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def state_copy(learner: Any) -> Any:
    return copy.deepcopy(learner.state())
