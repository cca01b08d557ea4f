"""Confusion matrices: a table of counts for few classes, a picture and the commonest mistakes for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from labelmint.reporting.sheets import Picture, picture

MOST_IN_TABLE = 20
_MISTAKES = 8
_BLUE = np.array([47, 98, 168])


@dataclass(frozen=True)
class Cell:
    """share: of its row's images."""

    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """source: what the classifier was trained on. cells: true class by row, predicted by column; or a picture of the shares.

    mistakes: (true, predicted, count), the commonest first.
    """

    source: str
    right: float
    cells: list[list[Cell]]
    picture: Picture | None
    mistakes: list[tuple[str, str, int]]


def confusion(source: str, counts: list[list[int]], classes: list[str], most_bytes: int) -> Confusion:
    """counts: of test images, true class by row and predicted by column."""
    table = np.array(counts)
    shares = table / table.sum(1, keepdims=True).clip(1)
    wrong = table * (1 - np.eye(len(table), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES]
    pairs = zip(*np.unravel_index(order, wrong.shape))
    mistakes = [(classes[row], classes[column], int(wrong[row, column])) for row, column in pairs if wrong[row, column]]
    right = float(np.trace(table) / max(1, table.sum()))
    if len(classes) <= MOST_IN_TABLE:
        cells = [
            [Cell(int(count), float(share)) for count, share in zip(line, part)] for line, part in zip(table, shares)
        ]
        return Confusion(source, right, cells, None, mistakes)
    shade = 255 - shares[..., None] * (255 - _BLUE)
    drawn = Image.fromarray(shade.round().astype(np.uint8))
    drawn = drawn.resize((3 * drawn.width, 3 * drawn.height), Image.Resampling.NEAREST)
    return Confusion(source, right, [], picture(drawn, 36, most_bytes), mistakes)
