"""A training step of EfficientNet-B0 on small images: ours against efficientnet-pytorch's.

`python benchmarks/classifier.py` prints the medians over rounds of both times and of their ratio.
Both compute the same network and are timed in turn in the same process.
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
    """Train one step. Returns: seconds."""
    started = time.perf_counter()
    optimizer.zero_grad()
    loss: torch.Tensor = F.cross_entropy(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    optimizer.step()
    return time.perf_counter() - started


def main() -> None:
    from efficientnet_pytorch import EfficientNet

    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, batch {_BATCH}, stem stride 2, median of {_ROUNDS} rounds")
    settings = Classifier(stem_stride=2, head_units=0, head_dropout=0)
    for size in (16, 28, 32):
        ours = EfficientNetB0(settings, (3, size, size), 10, None).to(memory_format=torch.channels_last)
        library = EfficientNet.from_name(
            "efficientnet-b0", image_size=size, num_classes=10, dropout_rate=0.0, drop_connect_rate=0.0
        )
        images, labels = torch.randn(_BATCH, 3, size, size), torch.randint(0, 10, (_BATCH,))
        sides = [
            (network.train(), batch, labels, torch.optim.AdamW(network.parameters(), fused=True))
            for network, batch in (
                (ours, images.contiguous(memory_format=torch.channels_last)),
                (library, images),
            )
        ]
        for side in sides:
            step(*side)
        pairs = [(step(*sides[0]), step(*sides[1])) for _ in range(_ROUNDS)]
        our_ms, library_ms = (1e3 * median(column) for column in zip(*pairs))
        ratio = median(b / a for a, b in pairs)
        print(f"{size} px: ours {our_ms:6.0f} ms   library {library_ms:6.0f} ms   library / ours {ratio:.2f}")


if __name__ == "__main__":
    main()
