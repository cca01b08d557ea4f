"""Reading of training images, and the order in which batches take them."""

from __future__ import annotations

import numpy as np
import torch

from labelmint.training.images import ArrayImages, FileImages, Sampler, digest, image_reader

CPU = torch.device("cpu")


class TestSampler:
    def test_each_pass_shows_every_image_once(self):
        sampler = Sampler(10, 4, seed=0)
        stream = np.concatenate([sampler(step) for step in range(5)])
        assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
        assert stream[:10].tolist() != stream[10:].tolist()

    def test_a_batch_depends_on_seed_and_step_only(self):
        sampler = Sampler(10, 4, seed=3)
        for step in range(9):
            assert np.array_equal(sampler(step), Sampler(10, 4, seed=3)(step))
        assert not np.array_equal(sampler(0), Sampler(10, 4, seed=4)(0))

    def test_a_batch_may_be_larger_than_the_class(self):
        assert np.bincount(Sampler(3, 8, seed=0)(0)).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_images_are_the_same_from_file_or_memory_streamed_or_resident(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", array)
    rows, indices = np.arange(5, 35, 2), np.array([[3, 0], [14, 3]])
    for images in (ArrayImages(array), FileImages(tmp_path / "images.npy")):
        assert images.shape == (3, 8, 8)
        for resident_bytes in (1 << 30, 0):
            read = image_reader(images, rows, CPU, resident_bytes)
            assert np.array_equal(read(indices).numpy(), array[rows[indices]])
        assert digest(images, rows) == digest(ArrayImages(array), rows) != digest(images, rows[1:])
