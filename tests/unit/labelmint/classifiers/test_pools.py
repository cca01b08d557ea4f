"""Pools of images: the operations of the sources, held-out images and batches."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.classifiers.pools import Pool, draw_batch, epoch_batch, gather, split_holdout
from labelmint.data.storage.splits import subset


def contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_a_real_pool_has_the_subset_of_its_arm(digits):
    images, labels = digits
    pool = Pool.real(images, labels, percent=50, seed=3)
    assert pool.indices is not None
    assert np.array_equal(pool.indices, subset(labels, 50, 3))
    assert np.array_equal(pool.images, images[pool.indices])
    assert np.array_equal(pool.labels, labels[pool.indices])


@pytest.mark.parametrize(
    "change",
    [
        lambda pool: pool.thinned(97, 0),
        lambda pool: pool.first_per_label(5, 0, "sweep"),
        lambda pool: pool.bootstrapped(0).resampled(),
        lambda pool: split_holdout([pool], 10, 5, 0)[0][0],
    ],
)
def test_indices_follow_the_images(pool, digits, change):
    changed = change(pool)
    assert 0 < len(changed) <= len(pool)
    assert np.array_equal(changed.images, digits[0][changed.indices])
    assert np.array_equal(changed.labels, digits[1][changed.indices])


def test_images_that_are_stored_nowhere_have_no_indices(pool):
    assert pool.replaced(pool.images, pool.labels).indices is None


class TestThinned:
    def test_is_balanced_over_the_classes(self, pool):
        thinned = pool.thinned(97, 0)
        assert len(thinned) == 97
        assert np.bincount(thinned.labels).min() >= 9

    def test_a_small_pool_is_kept(self, pool):
        assert len(pool.thinned(500, 0)) == len(pool)

    def test_attributes_are_not_balanced(self):
        labels = np.repeat(np.array([[0, 1], [1, 1]], np.float32), [3, 17], axis=0)
        pool = Pool.synthetic(np.zeros((20, 1, 4, 4), np.uint8), labels)
        assert len(pool.thinned(10, 0)) == 10
        assert pool.images_per_label == 10


def test_shuffled_labels_keep_the_images_and_the_frequencies(pool):
    shuffled = pool.shuffled(0)
    assert np.array_equal(shuffled.images, pool.images)
    assert np.bincount(shuffled.labels).tolist() == [12] * 10
    assert (shuffled.labels == pool.labels).mean() < 0.3


class TestHoldout:
    def test_held_out_images_are_never_trained_on(self, pool):
        (trained,), (images, labels) = split_holdout([pool], 10, 5, 0)
        assert len(labels) == 10
        assert len(trained) == 110
        assert not contents(images) & contents(trained.images)

    def test_most_limits_each_class(self, pool):
        _, (_, labels) = split_holdout([pool], 50, 2, 0)
        assert np.bincount(labels).tolist() == [2] * 10

    def test_a_bootstrap_comes_after_it(self, pool):
        """Classes keep their sizes, images repeat, and no copy of a held-out image is trained on."""
        (drawn,), (held, _) = split_holdout([pool.bootstrapped(0)], 10, 5, 0)
        (whole,), _ = split_holdout([pool], 10, 5, 0)
        assert not contents(drawn.images) & contents(held)
        assert 55 < len(contents(drawn.images)) < 85  # 1 - 1/e of 110 is 70
        assert np.array_equal(np.bincount(drawn.labels), np.bincount(whole.labels))

    def test_the_whole_pool_can_be_resampled_too(self, pool):
        resampled = pool.bootstrapped(0).resampled()
        assert len(resampled) == 120
        assert 60 < len(contents(resampled.images)) < 90
        assert pool.resampled() is pool


class TestBatches:
    def test_draws_follow_the_fractions(self):
        pools = [
            Pool("real", np.full((5, 1, 4, 4), value, np.uint8), np.full(5, value), fraction=fraction)
            for value, fraction in ((0, 0.25), (1, 0.75))
        ]
        images, labels = gather(pools, draw_batch(pools, 4000, 0))
        assert labels.mean() == pytest.approx(0.75, abs=0.03)
        assert np.array_equal(images.reshape(len(images), -1).mean(1), labels)

    def test_every_epoch_takes_each_image_once_in_its_own_order(self):
        taken = np.concatenate([epoch_batch(10, step, 4, 0) for step in range(5)])
        first, second = taken[:10], taken[10:]
        assert sorted(first) == sorted(second) == list(range(10))
        assert list(first) != list(second)

    def test_a_batch_may_span_epochs(self):
        taken = np.concatenate([epoch_batch(10, step, 4, 0) for step in range(5)])
        assert np.array_equal(epoch_batch(10, 0, 25, 0)[:20], taken)
