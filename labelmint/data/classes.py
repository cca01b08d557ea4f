"""Classes of labels that come as numbers or as words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from labelmint.data.file_names import check_text
from labelmint.runtime.errors import InputError


def number_classes(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Classes by their sorted distinct values: words as text, numbers as numbers, so that 2 comes before 10.

    values: (N,) of integers, booleans or text. Returns: (names, labels as int64 (N,)).
    """
    distinct, labels = np.unique(values, return_inverse=True)
    names = [str(name) for name in distinct.tolist()]
    if not all(name.isdecimal() for name in names):
        return names, labels.astype(np.int64)
    order = sorted(range(len(names)), key=lambda index: (int(names[index]), names[index]))
    position = np.argsort(order)
    return [names[index] for index in order], position[labels].astype(np.int64)


def check_names(names: list[str], where: Path) -> None:
    """Raise InputError when there are fewer than two classes, or a name cannot be encoded."""
    if len(names) < 2:
        only = f"'{names[0]}' is the only class" if names else "there are no classes"
        raise InputError(f"{where}: {only}, and a classifier needs two")
    check_text(names, where)


def distinct_names(names: list[str], first: int = 0) -> list[str]:
    """Names without repetition: two classes `crane`, as ImageNet has, become crane_135 and crane_518.

    first: number of the first class.
    """
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}_{number}" for number, name in enumerate(names, first)]
