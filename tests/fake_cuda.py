"""Tensors on a CUDA device that is not there: they have shapes and a device, and no contents.

Forward passes and loops run on them. Backward passes need a driver, so gradients are replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from labelmint.gans import penalties
from labelmint.training.gan_learner import GanLearner

CUDA = torch.device("cuda", 0)


class _Event:
    def record(self) -> None: ...

    def synchronize(self) -> None: ...


def _to(self: nn.Module, device: Any = None, memory_format: Any = None) -> nn.Module:
    """nn.Module.to, which cannot replace the contents of a fake parameter."""
    for module in self.modules():
        for name, parameter in module.named_parameters(recurse=False):
            moved = parameter.detach().to(device or parameter.device)
            if memory_format is not None and moved.dim() == 4:
                moved = moved.contiguous(memory_format=memory_format)
            setattr(module, name, nn.Parameter(moved, parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device or buffer.device)
    return self


def _adam(
    weights: list[torch.Tensor], gradients: list[torch.Tensor], *rest: Any, lr: torch.Tensor, **_: Any
) -> None:
    """What the kernel requires of its arguments; it has no fake implementation."""
    first, second, _unused, steps = rest
    assert lr.dtype == torch.float32
    for group in zip(weights, gradients, first, second, strict=True):
        assert len({tensor.stride() for tensor in group}) == 1
    tensors = [lr, *weights, *gradients, *first, *second, *steps]
    assert {tensor.device for tensor in tensors} == {CUDA}


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The device, within a mode in which tensors have no contents."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(nn.Module, "to", _to)

    def zeros(self: GanLearner, player: str, loss: torch.Tensor, retain: bool = False) -> list[torch.Tensor]:
        assert loss.device == self.device
        assert loss.shape == ()
        return [torch.zeros_like(weight) for weight in self.weights[player]]

    monkeypatch.setattr(GanLearner, "gradients", zeros)
    monkeypatch.setattr(
        penalties, "input_gradient", lambda output: output.images.new_zeros(len(output.images))
    )
    monkeypatch.setattr(torch, "_fused_adam_", _adam)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield CUDA
