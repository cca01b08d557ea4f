"""Reading of training images, and the order in which batches take them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from labelmint.training.images import ArrayImages, BatchReader, FileImages, Sampler, digest

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
    rows, order = np.arange(5, 35, 2), Sampler(15, 4, seed=0)
    for images in (ArrayImages(array), FileImages(tmp_path / "images.npy")):
        assert images.shape == (3, 8, 8)
        for resident in (True, False):
            reader = BatchReader(images, rows, order, CPU, resident=resident)
            for step in (0, 5, 1):
                reader.prepare(step)
                assert np.array_equal(reader.read().numpy(), array[rows[order(step)]])
        assert digest(images, rows) == digest(ArrayImages(array), rows) != digest(images, rows[1:])


def test_a_thread_reads_one_batch_ahead(monkeypatch):
    array = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    order = Sampler(40, 4, seed=0)
    reader = BatchReader(ArrayImages(array), np.arange(40), order, CPU, resident=False)
    reader._thread = ThreadPoolExecutor(1)
    for step in (0, 1, 2, 7, 8, 3):  # one that was not read ahead is read at once
        reader.prepare(step)
        assert np.array_equal(reader.read().numpy(), array[order(step)])
        assert reader._ahead is not None
        ahead, batch = reader._ahead
        assert ahead == step + 1
        assert np.array_equal(batch.result(), array[order(ahead)])
    reader.close()
