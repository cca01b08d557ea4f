"""The replicas of an arm, and generators trained from arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labelmint.data.storage.splits import derive_seed
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family
from labelmint.runtime.settings import Compute
from labelmint.training.fit import fit, plan_replicas
from labelmint.training.replica import Replica
from labelmint.training.settings import Training

ROWS = np.array([3, 4, 8, 9, 10])


def family_for(kind: Any) -> Family:
    generator, discriminator = GeneratorNetwork(), DiscriminatorNetwork()
    if kind != "none":
        generator = replace(generator, condition="concat")
        discriminator = replace(discriminator, condition="channel")
    return replace(Family(), labels=kind, generator=generator, discriminator=discriminator)


def plan(family: Family, labels: np.ndarray, folder=None, ensemble: int = 1) -> list[Replica]:
    label_spec = LabelSpec.of(family, ["a", "b"], labels)
    return plan_replicas(
        "dcgan",
        family,
        Training(ensemble=ensemble),
        label_spec,
        rows=ROWS,
        labels=labels,
        mirror=[True, False],
        seed=5,
        checkpoints=folder,
        data="x",
    )


def test_per_class_labels_give_one_replica_per_class(tmp_path):
    replicas = plan(Family(), np.array([0, 1, 1, 0, 1]), tmp_path)
    assert [each.name for each in replicas] == ["a", "b"]
    assert [each.rows.tolist() for each in replicas] == [[3, 9], [4, 8, 10]]
    assert [np.all(each.mirrored) for each in replicas] == [True, False]
    assert [each.seed for each in replicas] == [derive_seed(5, "generator", number) for number in (0, 1)]
    assert [each.checkpoints for each in replicas] == [tmp_path / "class-0", tmp_path / "class-1"]
    assert all(each.labels is None for each in replicas)
    assert len({str(each.identity()) for each in replicas}) == 2


def test_an_ensemble_gives_each_class_replicas_that_differ_in_their_seeds(tmp_path):
    labels = np.array([0, 1, 1, 0, 1])
    alone, several = plan(Family(), labels, tmp_path), plan(Family(), labels, tmp_path, ensemble=3)
    assert [each.name for each in several] == ["a", "a (2)", "a (3)", "b", "b (2)", "b (3)"]
    assert [each.rows.tolist() for each in several] == [[3, 9]] * 3 + [[4, 8, 10]] * 3
    assert [each.seed for each in several[::3]] == [each.seed for each in alone]
    assert len({each.seed for each in several}) == len({each.checkpoints for each in several}) == 6
    (first, second) = plan(family_for("conditional"), labels, ensemble=2)
    assert (first.name, second.name) == ("all", "all (2)")
    assert first.seed != second.seed and first.checkpoints is None


@pytest.mark.parametrize("kind", ["none", "conditional", "multi_hot"])
def test_other_labels_give_one_replica_for_all(kind):
    labels = np.array([0, 1, 1, 0, 1])
    if kind == "multi_hot":
        labels = np.eye(2, dtype=np.float32)[labels]
    (replica,) = plan(family_for(kind), labels)
    assert (replica.name, replica.rows.tolist()) == ("all", ROWS.tolist())
    assert replica.checkpoints is None
    if kind == "none":
        assert (replica.labels, replica.label_length) == (None, 0)
    else:
        assert replica.labels is not None
        assert replica.labels.dtype == (np.uint8 if kind == "multi_hot" else np.int64)
        assert np.array_equal(replica.labels, labels)
        assert replica.label_length == 2
        expected = [[0, 1], [1, 0]] if kind == "multi_hot" else [[1, 0], [0, 1]]
        assert replica.preview_labels.tolist() == expected
    if kind == "multi_hot":
        assert replica.mirrored is False  # not all attributes may be mirrored
    else:
        assert np.asarray(replica.mirrored).tolist() == [True, False, False, True, False]


def test_fit_trains_a_generator_per_class_from_arrays(replica, digits):
    labels = np.arange(12) % 2
    training = replace(replica.training, epochs=1)
    compute = Compute("cpu", workers=1)
    archive = fit(
        digits.images, labels, ["a", "b"], "dcgan", replica.family, training=training, seed=3, compute=compute
    )
    assert archive.shape == (1, 16, 16)
    assert archive.label_spec.names == ["a", "b"]
    assert archive.trained_on == {"images": 12, "seed": 3}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in archive.weights.values())
    archive.network(1)
