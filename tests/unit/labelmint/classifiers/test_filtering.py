"""Synthetic images chosen for their confidence: which are kept, and how many of each class."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.classifiers.filtering import MOST_SETS, filtered
from labelmint.classifiers.pools import Images, Pool, Sampler

THRESHOLD = 0.5


def images_of(confidences: np.ndarray) -> np.ndarray:
    """One pixel each, which tells the confidence in per cent."""
    return np.asarray(confidences, np.uint8).reshape(-1, 1, 1, 1)


def confidence(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    assert len(images) == len(labels) > 0
    return images[:, 0, 0, 0] / 100


class Sets(Sampler):
    """Sets of images in turn: (confidences, labels)."""

    def __init__(self, *sets: tuple[list[int], list]):
        self.sets = [(images_of(np.array(values)), np.array(labels)) for values, labels in sets]
        self.asked: list[tuple[int, int]] = []

    def sample(self, images_per_class: int, seed: int) -> Images:
        self.asked.append((images_per_class, seed))
        return self.sets[min(len(self.asked), len(self.sets)) - 1]

    def untrained(self, seed: int) -> Sampler:
        return self


def kept_of(pool: Pool, sampler: Sets) -> tuple[list[int], list]:
    """(confidences in per cent, labels) of what is kept."""
    kept = filtered(pool, sampler, confidence, THRESHOLD, 0)
    return kept.images[:, 0, 0, 0].tolist(), kept.labels.tolist()


def test_all_are_kept_where_all_have_the_confidence():
    pool, sampler = Pool.synthetic(images_of(np.array([51, 90, 99])), np.array([0, 1, 0])), Sets()
    assert filtered(pool, sampler, confidence, THRESHOLD, 0) is pool
    assert not sampler.asked


def test_others_are_replaced_by_further_ones_of_their_class_in_their_order(capsys):
    pool = Pool.synthetic(images_of(np.array([90, 50, 70, 20])), np.array([0, 0, 1, 1]))
    sampler = Sets(([60, 99, 30, 99], [0, 0, 1, 1]), ([99, 99, 10, 80], [0, 0, 1, 1]))
    assert kept_of(pool, sampler) == ([90, 70, 60, 99], [0, 1, 0, 1])
    message = "filter: 2 of 4 synthetic images pass, 4 of as many chosen from 2 such sets\n"
    assert capsys.readouterr().err == message


def test_further_sets_have_seeds_of_their_own_and_the_size_of_the_stored_one():
    pool = Pool.synthetic(images_of(np.array([10, 10, 90, 90])), np.array([0, 0, 1, 1]))
    sampler = Sets(([10, 10, 90, 90], [0, 0, 1, 1]))
    kept_of(pool, sampler)
    assert [size for size, _ in sampler.asked] == [2] * (MOST_SETS - 1)
    assert len({seed for _, seed in sampler.asked}) == MOST_SETS - 1


def test_a_class_that_stays_short_takes_its_most_confident_images_of_all_sets():
    """Class 0 has one image above the threshold, in the third set; class 1 is not touched."""
    pool = Pool.synthetic(images_of(np.array([5, 30, 1, 80, 90, 60])), np.array([0, 0, 0, 1, 1, 1]))
    labels = [0, 0, 0, 1, 1, 1]
    sampler = Sets(
        ([10, 40, 20, 99, 99, 99], labels), ([55, 2, 3, 99, 99, 99], labels), ([4, 5, 6, 0, 0, 0], labels)
    )
    assert kept_of(pool, sampler) == ([30, 80, 90, 60, 40, 55], [0, 1, 1, 1, 0, 0])


def test_patterns_of_attributes_keep_their_frequencies():
    """A pattern that the pool lacks is left out, even with full confidence."""
    labels = np.array([[0, 1], [0, 1], [1, 1]], np.float32)
    pool = Pool.synthetic(images_of(np.array([10, 80, 20])), labels)
    sampler = Sets(([99, 99], [[0.0, 0.0], [0.0, 0.0]]), ([99, 70, 90], [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert kept_of(pool, sampler) == ([80, 70, 90], [[0, 1], [0, 1], [1, 1]])


@pytest.mark.parametrize("replaced", [False, True])
def test_images_keep_their_indices_only_where_all_are_stored(replaced):
    pool = Pool.synthetic(images_of(np.array([10 if replaced else 60, 80])), np.array([0, 1]))
    kept = filtered(pool, Sets(([70, 70], [0, 1])), confidence, THRESHOLD, 0)
    assert (kept.indices is None) == replaced
    assert kept.origin == "synthetic"
