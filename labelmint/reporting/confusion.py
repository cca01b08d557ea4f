"""Confusion matrices: counts for few classes; a picture and the most frequent mistakes for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from labelmint.reporting.sheets import Picture, picture

_MAX_TABLE_CLASSES = 20
_MAX_MISTAKES = 8
_BLUE = np.array([47, 98, 168])


@dataclass(frozen=True)
class Cell:
    """Number of images, and their fraction of the row."""

    count: int
    fraction: float


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of one classifier.

    source: what it was trained on.
    accuracy: fraction of correct predictions.
    cells: true class by row, predicted class by column; empty if `picture` shows the matrix instead.
    mistakes: (true class, predicted class, count), the most frequent first.
    """

    source: str
    accuracy: float
    cells: list[list[Cell]]
    picture: Picture | None
    mistakes: list[tuple[str, str, int]]


def confusion(source: str, counts: list[list[int]], classes: list[str], max_bytes: int) -> Confusion:
    """Prepare a confusion matrix for the page.

    counts: of test images, true class by row and predicted class by column. max_bytes: size limit of the
    picture.
    """
    matrix = np.array(counts)
    fractions = matrix / matrix.sum(1, keepdims=True).clip(1)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MAX_MISTAKES]
    mistakes = [
        (classes[row], classes[column], int(wrong[row, column]))
        for row, column in zip(*np.unravel_index(order, wrong.shape))
        if wrong[row, column]
    ]
    accuracy = float(np.trace(matrix) / max(1, matrix.sum()))
    if len(classes) <= _MAX_TABLE_CLASSES:
        cells = [
            [Cell(int(count), float(fraction)) for count, fraction in zip(*row)]
            for row in zip(matrix, fractions)
        ]
        return Confusion(source, accuracy, cells, None, mistakes)
    pixels = 255 - fractions[..., None] * (255 - _BLUE)
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    drawn = drawn.resize((3 * drawn.width, 3 * drawn.height), Image.Resampling.NEAREST)
    return Confusion(source, accuracy, [], picture(drawn, 36, max_bytes), mistakes)
