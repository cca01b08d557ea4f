"""Classifiers on disk, and the record of the images that they were trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.classifiers import archive
from labelmint.classifiers.job import Fitted, Job, build
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.views import view
from labelmint.runtime.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def save(folder, *jobs: Job) -> None:
    """Write classifiers with initial weights."""
    evaluation = {"step": 6, "train_loss": 1.0, "holdout_loss": 1.0, "holdout_accuracy": 0.5}
    fitted = []
    for job in jobs:
        state = build(job.params, job.shape, job.classes, None).state_dict()
        weights = {name: value.numpy() for name, value in state.items()}
        fitted.append(Fitted(weights, [evaluation], 6, 10))
    archive.save(folder, jobs, fitted)


def test_what_was_saved_is_loaded(folder, make_job):
    job = make_job(network="linear")
    save(folder, job, replace(job, simple=True))
    facts = archive.load(folder)
    assert list(facts) == ["real", "real-linear"]
    assert [each["simple_classifier"] for each in facts.values()] == [False, True]
    assert (facts["real"]["n_real"], facts["real"]["n_synthetic"], facts["real"]["n_holdout"]) == (120, 0, 10)
    assert archive.params_of(facts["real"]) == job.params
    assert archive.network(folder, "real")(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    header, first, second = (folder / "training.csv").read_text().splitlines()
    assert header == "name,step,train_loss,holdout_loss,holdout_accuracy"
    assert (first, second) == ("real,6,1,1,0.5", "real-linear,6,1,1,0.5")


def test_damaged_weights_are_refused(folder, make_job):
    save(folder, make_job(network="linear"))
    with (folder / "real.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="checksum"):
        archive.network(folder, "real")


class TestTrainingImages:
    def read(self, folder, job, digits, synthetic=None):
        save(folder, job)
        images = digits[0] if synthetic is None else synthetic
        return archive.training_images(folder, job.source, digits[0], images)

    def check(self, found, pools):
        images, labels = found
        assert np.array_equal(images, np.concatenate([pool.images for pool in pools]))
        expected = np.concatenate([pool.labels for pool in pools])
        assert np.array_equal(labels, expected)
        assert labels.dtype == expected.dtype

    def test_of_a_subset(self, folder, make_job, digits):
        pool = Pool.real(digits[0], digits[1], percent=50, seed=1)
        self.check(self.read(folder, replace(make_job(), pools=[pool]), digits), [pool])

    def test_of_two_pools(self, folder, make_job, digits, pool):
        synthetic = Pool.synthetic(255 - digits[0], digits[1]).thinned(50, 0)
        job = replace(make_job(), pools=[pool, synthetic])
        self.check(self.read(folder, job, digits, 255 - digits[0]), [pool, synthetic])

    def test_with_shuffled_labels(self, folder, make_job, digits, pool):
        shuffled = pool.shuffled(0)
        self.check(self.read(folder, replace(make_job(), pools=[shuffled]), digits), [shuffled])

    def test_after_a_bootstrap(self, folder, make_job, digits, pool):
        drawn = pool.bootstrapped(0)
        found = self.read(folder, replace(make_job(), pools=[drawn]), digits)
        self.check(found, [drawn.resampled()])

    @pytest.mark.parametrize("name", ["noised", "residual"])
    def test_in_a_view(self, folder, make_job, digits, name):
        pool = Pool.real(digits[0], digits[1], percent=50, seed=1)
        shown = pool.viewed(name)
        found = self.read(folder, replace(make_job(), pools=[shown], view=name), digits)
        self.check(found, [shown])
        assert np.array_equal(found[0], view(name, pool.images))

    def test_of_attributes(self, folder, make_job, digits):
        labels = np.random.default_rng(0).integers(0, 2, (120, 3)).astype(np.float32)
        pool = Pool.real(digits[0], labels, percent=50, seed=1)
        self.check(self.read(folder, replace(make_job(), pools=[pool], classes=3), digits), [pool])

    def test_that_exist_nowhere_else_are_stored_for_a_nearest_neighbour_classifier(
        self, folder, make_job, digits, pool
    ):
        sampled = pool.replaced(255 - pool.images, pool.labels)
        job = replace(make_job(simple_classifiers=["nearest_neighbour"]), pools=[sampled])
        self.check(self.read(folder, job, digits), [sampled])

    def test_that_exist_nowhere_else_are_not_stored_otherwise(self, folder, make_job, digits, pool):
        sampled = pool.replaced(255 - pool.images, pool.labels)
        with pytest.raises(InputError, match="its real images are not available"):
            self.read(folder, replace(make_job(), pools=[sampled]), digits)

    def test_a_damaged_record_is_refused(self, folder, make_job, digits):
        save(folder, make_job())
        with (folder / "pools" / "real.safetensors").open("ab") as file:
            file.write(b"x")
        with pytest.raises(InputError, match="checksum"):
            archive.training_images(folder, "real", digits[0], digits[0])
