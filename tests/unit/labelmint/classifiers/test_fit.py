"""Training of one classifier: reproducible, evaluated on held-out images, the best or last weights kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.classifiers import targets
from labelmint.classifiers.augment import augment
from labelmint.classifiers.fit import fit
from labelmint.classifiers.job import build, predict
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Augmentation
from tests.conftest import CPU


def equal(first, second) -> bool:
    return all(np.array_equal(values, second.weights[name]) for name, values in first.weights.items())


def test_weights_depend_on_the_seed_and_not_on_the_global_generator(make_job):
    torch.manual_seed(1)
    first = fit(make_job(), CPU)
    torch.manual_seed(2)
    assert equal(first, fit(make_job(), CPU))
    assert not equal(first, fit(replace(make_job(), seed=1), CPU))


def test_evaluations_are_evenly_spaced_and_the_best_is_kept(make_job):
    fitted = fit(make_job(), CPU)
    assert [row["step"] for row in fitted.evaluations] == [2, 4, 6]
    best = max(fitted.evaluations, key=lambda row: (row["holdout_accuracy"], -row["holdout_loss"]))
    assert fitted.best == best
    assert fitted.best_step == best["step"]
    assert fitted.held_out == 10


def test_the_best_or_the_last_weights_are_kept(make_job, monkeypatch):
    """With accuracies of 0.2, 0.9 and 0.5 the best weights are those of the second evaluation."""

    def train(**changes):
        accuracies = iter([0.2, 0.9, 0.5])
        monkeypatch.setattr(targets, "fraction_correct", lambda *_: next(accuracies))
        return fit(make_job(**changes), CPU)

    best, last, once = train(), train(checkpoint="last"), train(evaluations=1)
    assert last.evaluations == best.evaluations
    assert (best.best_step, last.best_step, once.best_step) == (4, 6, 6)
    assert equal(last, once)
    assert not equal(last, best)


def test_epochs_replace_steps(make_job):
    job = make_job(epochs=1)
    assert job.steps == 8  # 120 / 16, rounded up
    assert fit(job, CPU).evaluations[-1]["step"] == 8


def test_a_renewal_gives_new_images_in_every_epoch(make_job, pool):
    epochs = []

    class Recorder:
        def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
            epochs.append(epoch)
            return pool.images, pool.labels

    renewed = replace(pool, renewal=Recorder())
    fit(replace(make_job(steps=14, evaluations=1), pools=[renewed]), CPU)
    # 110 images are trained on: epoch 1 starts at image 110, and with all 120 images epoch 2 would start at
    # 240.
    assert epochs == [1]


def test_a_distilled_classifier_learns_what_its_teacher_says_of_the_augmented_images(make_job, monkeypatch):
    """Here that two thirds of each image are a three, whatever its label."""
    seen, augmented = [], []

    class Teacher(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(batch)
            return torch.tensor([0.5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).log().expand(len(batch), -1)

    def recorded(*arguments):
        augmented.append(augment(*arguments))
        return augmented[-1]

    monkeypatch.setattr("labelmint.classifiers.fit.augment", recorded)
    made = make_job(steps=60, learning_rate=1e-2, distillation_temperature=1.0, augmentation=Augmentation())
    job = replace(made, teacher=Teacher)
    fitted = fit(job, CPU)
    assert len(seen) == 60 and all(map(torch.equal, seen, augmented))
    network = build(job.params, job.shape, job.classes, None)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in fitted.weights.items()})
    logits = predict(network, job.pools[0].images, CPU)
    chances = targets.probabilities(torch.from_numpy(logits), False).mean(0)
    assert chances[[0, 3]].tolist() == pytest.approx([1 / 3, 2 / 3], abs=0.05)
    entropy = -(np.log(1 / 3) / 3 + np.log(2 / 3) * 2 / 3)
    assert fitted.evaluations[-1]["train_loss"] == pytest.approx(entropy, abs=0.1)
    assert fitted.best["holdout_accuracy"] == 0.1  # of their own labels


def test_a_job_counts_its_images_by_origin(make_job, pool):
    job = replace(make_job(), pools=[pool, Pool.synthetic(pool.images[:30], pool.labels[:30])])
    assert (job.count("real"), job.count("synthetic")) == (120, 30)
    assert job.shape == (1, 16, 16)
