"""What a person asks of a generator, and the rows that follow from it: which label and which latent seed each image has."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from labelmint.data.storage.splits import derive_seed
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.sampling import latent_seeds, sample_images
from labelmint.runtime.errors import InputError

_NONE_OF_THEM = "none of them"
_GOLDEN = 0.6180339887498949  # its multiples fill [0, 1) evenly, however many are taken
_LISTED = 12


@dataclass(frozen=True)
class Order:
    """wished: classes, or patterns of attributes such as Male+Smiling; none named: every class, or patterns in their real shares.

    count: images of each class or pattern; in all where labels are attributes and no pattern is named, or where there are no labels.
    seed: the same order gives the same bytes. With an arm's own seed, classes begin with the images of its synthetic set.
    """

    count: int
    requested: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--count must be at least 1, got {self.count}")
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"--seed must be 0 to 2^63 - 1, got {self.seed}")
        if len(set(self.requested)) != len(self.requested):
            raise InputError(f"--class names one twice: {', '.join(self.requested)}")


@dataclass(frozen=True)
class Rows:
    """Some rows of a sample. which: int64 (n,), places in Plan.titles. numbers: int64 (n,), of the image within its class folder.

    seeds: int64 (n,), of the latents.
    """

    which: np.ndarray
    numbers: np.ndarray
    seeds: np.ndarray


class Plan:
    """Rows of an order on one generator. Kinds take turns, so that every stretch of rows holds all of them.

    titles: of the classes or patterns that are minted. labels: int64 (kinds,) of classes, -1 elsewhere. total: images.
    """

    def __init__(self, generators: GeneratorArchive, order: Order):
        self.order, label_spec = order, generators.label_spec
        self.kind, self.names = label_spec.kind, label_spec.names
        self.shares: np.ndarray | None = None  # cumulative; None: as many of each
        if self.kind == "multi_hot":
            if order.requested:
                self.vectors = np.stack([_pattern(title, label_spec.names) for title in order.requested])
            else:
                self.vectors, self.shares = label_spec.vectors, np.cumsum(label_spec.shares)
            self.titles = [pattern_title(vector, label_spec.names) for vector in self.vectors]
            self.labels = np.full(len(self.titles), -1)
        elif self.kind == "none":
            if order.requested:
                raise InputError("this generator was trained without labels; leave --class out")
            self.titles, self.labels, self.vectors = ["unlabelled"], np.array([-1]), label_spec.vectors
        else:
            self.titles = list(order.requested) or list(label_spec.names)
            self.labels = np.array([_class(title, label_spec.names) for title in self.titles])
            empty = np.zeros((len(self.titles), 0), np.float32)
            self.vectors = label_spec.vectors[self.labels] if self.kind == "conditional" else empty
        self.total = order.count * (len(self.titles) if self.shares is None else 1)

    def rows(self, first: int, last: int) -> Rows:
        """Rows first..last-1. They follow from their numbers alone."""
        rows = np.arange(first, last)
        if self.shares is not None:
            places = np.searchsorted(self.shares, (rows + 0.5) * _GOLDEN % 1.0, side="right")
            which, inner = np.minimum(places, len(self.titles) - 1), rows
        else:
            which, inner = rows % len(self.titles), rows // len(self.titles)
        seeds = np.array([self._first_seed(kind) for kind in range(len(self.titles))])[which] + inner
        return Rows(which, inner if self.kind in ("per_class", "conditional") else rows, seeds)

    def _first_seed(self, kind: int) -> int:
        if self.kind == "multi_hot":
            purpose = "all" if self.shares is not None else self.titles[kind]
            return derive_seed(self.order.seed, "sample", purpose) >> 1  # leaves room to count on
        return int(latent_seeds(1, self.order.seed, max(0, int(self.labels[kind])))[0])


def sample_rows(generators: GeneratorArchive, plan: Plan, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, C, S, S), and labels: int64 (n,), -1 where there are none; or float32 multi-hot (n, A), as the generator tells them."""
    if plan.kind == "per_class":
        images = np.empty((len(rows.which), *generators.shape), np.uint8)
        for kind in np.unique(rows.which):
            places = np.flatnonzero(rows.which == kind)
            nothing = np.zeros((len(places), 0), np.float32)
            images[places] = sample_images(generators, int(plan.labels[kind]), rows.seeds[places], nothing)[0]
        return images, plan.labels[rows.which]
    images, told = sample_images(generators, 0, rows.seeds, plan.vectors[rows.which])
    return images, told if plan.kind == "multi_hot" else plan.labels[rows.which]


def pattern_title(vector: np.ndarray, names: list[str]) -> str:
    """Names of the attributes that a multi-hot label has."""
    return LabelSpec("multi_hot", names, np.atleast_2d(vector), np.ones(1)).title(0)


def _class(title: str, names: list[str]) -> int:
    if title not in names:
        raise InputError(f"--class: no class '{title}'{_nearest(title, names)}; there are {_listed(names)}")
    return names.index(title)


def _pattern(title: str, names: list[str]) -> np.ndarray:
    """float32 (A,)."""
    parts = [] if title == _NONE_OF_THEM else title.split("+")
    for part in parts:
        if part not in names:
            raise InputError(
                f"--class: no attribute '{part}'{_nearest(part, names)}; join those wanted with +, of {_listed(names)}, or say '{_NONE_OF_THEM}'"
            )
    return np.array([name in parts for name in names], np.float32)


def _nearest(name: str, known: list[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
