"""An order for synthetic images, and the label and latent seed of each image that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from labelmint.data.storage.splits import derive_seed
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.sampling import CPU, latent_seeds, sample_images
from labelmint.gans.settings import MOST_LATENT_DEVIATION
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean, shortened

_NO_ATTRIBUTE = "none of them"
_GOLDEN = 0.6180339887498949  # multiples of the golden ratio fill [0, 1) evenly, however many are taken
_MAX_LISTED = 12


@dataclass(frozen=True)
class Order:
    """What a user requests from a generator.

    count: images of each class or requested pattern; images in all if the labels are attributes and no
        pattern is requested, or if the generator has no labels.
    requested: classes, or patterns of attributes such as Male+Smiling. Empty: every class, or patterns as
        frequent as among the real images.
    seed: the same order gives the same bytes. With an arm's own seed and deviation, each class starts with
        the images of the arm's synthetic data set.
    latent_deviation: factor of the latents.
    """

    count: int
    requested: tuple[str, ...] = ()
    seed: int = 0
    latent_deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--count must be at least 1, got {self.count}")
        if not 0 <= self.seed < 1 << 63:
            raise InputError(f"--seed must be 0 to 2^63 - 1, got {self.seed}")
        if not 0 < self.latent_deviation <= MOST_LATENT_DEVIATION:
            raise InputError(
                f"--latent-deviation must be above 0 and at most {MOST_LATENT_DEVIATION:g}, "
                f"got {self.latent_deviation:g}"
            )
        if len(set(self.requested)) != len(self.requested):
            raise InputError(f"--class names one twice: {', '.join(self.requested)}")


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of an exported data set.

    title_indices: int64 (n,), index of each row's class or pattern in Plan.titles.
    numbers: int64 (n,), number of the image within its class folder.
    seeds: int64 (n,), latent seeds.
    """

    title_indices: np.ndarray
    numbers: np.ndarray
    seeds: np.ndarray


class Plan:
    """Rows that an order yields on one generator.

    Classes (or requested patterns) take turns, so that every few consecutive rows contain all of them.

    label_type: per_class, conditional, multi_hot or none.
    names: all classes or attributes of the generator.
    titles: the classes or patterns that are sampled.
    labels: int64 (len(titles),), the class of each title; -1 if the labels are no classes.
    vectors: float32 (len(titles), K), the labels as the generator takes them.
    total: number of images.
    """

    def __init__(self, generator: GeneratorArchive, order: Order):
        label_spec = generator.label_spec
        self.order, self.label_type, self.names = order, label_spec.kind, label_spec.names
        # Cumulative frequencies of the titles; None if all are equally frequent.
        self._cumulative: np.ndarray | None = None
        if self.label_type == "multi_hot":
            if order.requested:
                self.vectors = np.stack([_pattern(title, label_spec.names) for title in order.requested])
            else:
                self.vectors, self._cumulative = label_spec.vectors, np.cumsum(label_spec.frequencies)
            self.titles = [pattern_title(vector, label_spec.names) for vector in self.vectors]
            self.labels = np.full(len(self.titles), -1)
        elif self.label_type == "none":
            if order.requested:
                raise InputError("this generator was trained without labels; omit --class")
            self.titles, self.labels, self.vectors = ["unlabelled"], np.array([-1]), label_spec.vectors
        else:
            self.titles = list(order.requested) or list(label_spec.names)
            self.labels = np.array([_class(title, label_spec.names) for title in self.titles])
            no_labels = np.zeros((len(self.titles), 0), np.float32)
            self.vectors = label_spec.vectors[self.labels] if self.label_type == "conditional" else no_labels
        self.total = order.count * (len(self.titles) if self._cumulative is None else 1)

    def rows(self, first: int, last: int) -> Rows:
        """Rows first to last - 1. Each row depends on its own number only."""
        rows = np.arange(first, last)
        if self._cumulative is not None:
            indices = np.searchsorted(self._cumulative, (rows + 0.5) * _GOLDEN % 1.0, side="right")
            title_indices, inner = np.minimum(indices, len(self.titles) - 1), rows
        else:
            title_indices, inner = rows % len(self.titles), rows // len(self.titles)
        first_seeds = np.array([self._first_seed(index) for index in range(len(self.titles))])
        numbers = inner if self.label_type in ("per_class", "conditional") else rows
        return Rows(title_indices, numbers, first_seeds[title_indices] + inner)

    def _first_seed(self, index: int) -> int:
        if self.label_type == "multi_hot":
            purpose = "all" if self._cumulative is not None else self.titles[index]
            return (
                derive_seed(self.order.seed, "sample", purpose) >> 1
            )  # so that adding row numbers stays within int64
        return int(latent_seeds(1, self.order.seed, max(0, int(self.labels[index])))[0])


def sample_rows(
    generator: GeneratorArchive, plan: Plan, rows: Rows, device: torch.device = CPU
) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (n, C, S, S), and labels of rows. device: where the images are computed.

    The labels are int64 (n,), -1 for none; or float32 (n, A) multi-hot attributes, as the generator returns
    them.
    """
    sample = partial(sample_images, generator, device=device, latent_deviation=plan.order.latent_deviation)
    if plan.label_type == "per_class":
        images = np.empty((len(rows.title_indices), *generator.shape), np.uint8)
        for index in np.unique(rows.title_indices):
            own = np.flatnonzero(rows.title_indices == index)
            no_labels = np.zeros((len(own), 0), np.float32)
            label = int(plan.labels[index])
            images[own] = sample(label, rows.seeds[own], no_labels)[0]
        return images, plan.labels[rows.title_indices]
    requested = plan.vectors[rows.title_indices]
    images, attributes = sample(0, rows.seeds, requested)
    return images, attributes if plan.label_type == "multi_hot" else plan.labels[rows.title_indices]


def pattern_title(vector: np.ndarray, names: list[str]) -> str:
    """Names of the attributes that are set in a multi-hot label, joined by +."""
    return LabelSpec("multi_hot", names, np.atleast_2d(vector), np.ones(1)).title(0)


def _class(title: str, names: list[str]) -> int:
    if title not in names:
        suggestion = did_you_mean(title, names)
        raise InputError(
            f"--class: no class '{title}'{suggestion}; there are {shortened(names, _MAX_LISTED)}"
        )
    return names.index(title)


def _pattern(title: str, names: list[str]) -> np.ndarray:
    """Multi-hot label of a title such as Male+Smiling, float32 (A,)."""
    parts = [] if title == _NO_ATTRIBUTE else title.split("+")
    for part in parts:
        if part not in names:
            raise InputError(
                f"--class: no attribute '{part}'{did_you_mean(part, names)}; "
                f"join attributes of {shortened(names, _MAX_LISTED)} with +, or write '{_NO_ATTRIBUTE}'"
            )
    return np.array([name in parts for name in names], np.float32)
