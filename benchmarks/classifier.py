"""A training step of EfficientNet-B0 on small images: ours against efficientnet-pytorch as it comes (same network, same numbers).

`python benchmarks/classifier.py` prints the median over rounds of both times and of their ratio, taken in turn in the same run.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))

from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.settings import Classifier

_ROUNDS = 8
_BATCH = 64


def step(
    network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, optimizer: torch.optim.Optimizer
) -> float:
    started = time.perf_counter()
    optimizer.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    from efficientnet_pytorch import EfficientNet

    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch {_BATCH}, stem stride 2, median of {_ROUNDS} rounds")
    for size in (16, 28, 32):
        ours = EfficientNetB0(Classifier(stem_stride=2, head_units=0, head_dropout=0), (3, size, size), 10, None)
        library = EfficientNet.from_name(
            "efficientnet-b0", image_size=size, num_classes=10, dropout_rate=0.0, drop_connect_rate=0.0
        )
        ours = ours.to(memory_format=torch.channels_last)
        images, labels = torch.randn(_BATCH, 3, size, size), torch.randint(0, 10, (_BATCH,))
        sides = [
            (network.train(), batch, labels, torch.optim.AdamW(network.parameters(), fused=True))
            for network, batch in ((ours, images.contiguous(memory_format=torch.channels_last)), (library, images))
        ]
        for side in sides:
            step(*side)
        pairs = [tuple(step(*side) for side in sides) for _ in range(_ROUNDS)]
        times = [1e3 * median(column) for column in zip(*pairs)]
        print(
            f"{size} px: ours {times[0]:6.0f} ms   library {times[1]:6.0f} ms   library / ours {median(b / a for a, b in pairs):.2f}"
        )


if __name__ == "__main__":
    main()
