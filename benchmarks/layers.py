"""Layers at the ends of a network: one matrix product against the convolution library.

`python benchmarks/layers.py` runs forward and backward passes in one thread. It prints the medians over
rounds of both times and of their ratio; both are timed in turn in the same process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))

from labelmint.gans.layers import Convolution, TransposedConvolution

_ROUNDS = 15

Layer = Callable[[torch.Tensor], torch.Tensor]


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, ours: Layer, library: Layer, inputs: torch.Tensor) -> None:
    works = [partial(forward_and_backward, layer, inputs) for layer in (ours, library)]
    for work in works:
        work()
    pairs = [(seconds(works[0]), seconds(works[1])) for _ in range(_ROUNDS)]
    our_ms, library_ms = (1e3 * median(column) for column in zip(*pairs))
    ratio = median(b / a for a, b in pairs)
    print(f"{name:44} ours {our_ms:7.2f} ms   library {library_ms:7.2f} ms   library / ours {ratio:5.2f}")


def forward_and_backward(layer: Layer, inputs: torch.Tensor) -> None:
    outputs = layer(inputs)
    outputs.backward(torch.ones_like(outputs))  # type: ignore[no-untyped-call]  # torch has no type for it


def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch 64, median of {_ROUNDS} rounds")
    for inputs, outputs, size in ((32, 1, 8), (32, 1, 14), (64, 1, 16), (64, 3, 16)):
        up = TransposedConvolution(inputs, outputs, 4, 2, True)
        maps = torch.randn(64, inputs, size, size).contiguous(memory_format=torch.channels_last)
        library = partial(
            F.conv_transpose2d, weight=up.weight, bias=up.bias, stride=up.stride, padding=up.padding
        )
        name = f"transposed {inputs} -> {outputs}, {size} -> {2 * size} px"
        compare(name, up, library, maps.requires_grad_())
    for inputs, outputs, size in ((1, 32, 16), (1, 32, 28), (3, 64, 32)):
        down = Convolution(inputs, outputs, 4, 2)
        library = partial(F.conv2d, weight=down.weight, bias=down.bias, stride=2, padding=1)
        name = f"convolution {inputs} -> {outputs}, {size} -> {size // 2} px"
        compare(name, down, library, torch.randn(64, inputs, size, size).requires_grad_())


if __name__ == "__main__":
    main()
