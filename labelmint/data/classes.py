"""Classes of labels that come as numbers or as words."""

from __future__ import annotations

from collections import Counter

import numpy as np


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


def distinct_names(names: list[str]) -> list[str]:
    """Names without repetition: two classes `crane`, as ImageNet has, become crane_134 and crane_517."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}_{number}" for number, name in enumerate(names)]
