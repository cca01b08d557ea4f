"""Range of images of 16 bits: cameras and scanners store 10, 12 or 14 bits in them, which look black."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from labelmint.data.convert import Converted, convert
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import counted

_DARK_BITS, _DARK_FRACTION = 4, 0.1  # images 16 times darker than others; a warning from a tenth of them


def convert_splits(
    source: Source, parts: list[np.ndarray], dataset: Dataset, targets: list[Path], compute: Compute
) -> tuple[list[Converted], Dataset]:
    """Convert images `parts[i]` of `source` to `targets[i]`, scaled by the bits that all of them use.

    Returns: (as `convert` does for each, settings with the bit depth that was found).
    """
    converted = [convert(source, part, dataset, target, compute) for part, target in zip(parts, targets)]
    bits = np.concatenate([part.bits for part in converted])
    wide = bits[bits > 0]
    depth = int(wide.max(initial=0))
    if dataset.bit_depth is None and 0 < depth < 16:
        say(
            f"note: {counted(len(wide), 'image')} of 16 bits use {depth} bits: 0 to {2**depth - 1:,} become "
            "0 to 255; dataset.bit_depth decides otherwise"
        )
        dataset = replace(dataset, bit_depth=depth)
        converted = [convert(source, part, dataset, target, compute) for part, target in zip(parts, targets)]
    dark = int((wide <= depth - _DARK_BITS).sum())
    if dark and dark >= _DARK_FRACTION * len(wide):
        say(
            f"warning: {dark:,} of {counted(len(wide), 'image')} of 16 bits use {depth - _DARK_BITS} bits or "
            f"fewer, others {depth}, so that the former are nearly black; store them all with the same range"
        )
    return converted, dataset
