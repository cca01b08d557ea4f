"""Layers at the ends of a network: one matrix product against the convolution library (one thread, forward and backward).

`python benchmarks/layers.py` prints the median over rounds of both times and of their ratio, taken in turn in the same run.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))

from labelmint.gans.layers import Convolution, TransposedConvolution

_ROUNDS = 15


def seconds(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, ours, theirs) -> None:
    for work in (ours, theirs):
        work()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(_ROUNDS)]
    times = [1e3 * median(column) for column in zip(*pairs)]
    print(
        f"{name:44} ours {times[0]:7.2f} ms   library {times[1]:7.2f} ms   library / ours {median(b / a for a, b in pairs):5.2f}"
    )


def backward(function, inputs):
    def work():
        out = function(inputs)
        out.backward(torch.ones_like(out))

    return work


def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch 64, median of {_ROUNDS} rounds")
    for inputs, outputs, size in ((32, 1, 8), (32, 1, 14), (64, 1, 16), (64, 3, 16)):
        layer = TransposedConvolution(inputs, outputs, 4, 2, True)
        maps = torch.randn(64, inputs, size, size).contiguous(memory_format=torch.channels_last).requires_grad_()
        theirs = lambda x, layer=layer: F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride, layer.padding)  # noqa: E731
        compare(
            f"transposed {inputs} -> {outputs}, {size} -> {2 * size} px", backward(layer, maps), backward(theirs, maps)
        )
    for inputs, outputs, size in ((1, 32, 16), (1, 32, 28), (3, 64, 32)):
        layer = Convolution(inputs, outputs, 4, 2)
        images = torch.randn(64, inputs, size, size).requires_grad_()
        theirs = lambda x, layer=layer: F.conv2d(x, layer.weight, layer.bias, 2, 1)  # noqa: E731
        compare(
            f"convolution {inputs} -> {outputs}, {size} -> {size // 2} px",
            backward(layer, images),
            backward(theirs, images),
        )


if __name__ == "__main__":
    main()
