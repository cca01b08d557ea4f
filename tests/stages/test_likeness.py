"""Sets of images in the frozen network's features: as many of each, whatever their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelmint.classifiers import feature_network
from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.classifiers.small_networks import SmallCNN
from labelmint.metrics import content
from labelmint.metrics.distances import frechet, kernel_distance
from labelmint.metrics.settings import Metrics
from labelmint.metrics.similarity import Points, Space

Set = tuple[np.ndarray, np.ndarray]
CLASSES, FEATURES = 3, 8


def images(count: int, seed: int) -> Set:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    return (rng.integers(0, 200, (count, 1, 8, 8)) + 20 * labels[:, None, None, None]).astype(np.uint8), labels


@pytest.fixture(scope="module")
def network() -> FrozenNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = SmallCNN((1, 8, 8), CLASSES, FEATURES).eval()
    spread = feature_network.in_batches(untrained.features, images(500, 9)[0]).std(0).mean()
    return FrozenNetwork(untrained, "0" * 64, float(spread))


@pytest.fixture(scope="module")
def space(network) -> Space:
    return Space(network, images(150, 0), CLASSES, Metrics(points=60))


def likeness(space: Space, real: Set, minted: Set) -> dict:
    return space.likeness({"real": space.points("train", *real), "synthetic": space.points("synthetic", *minted)})


class TestOrder:
    def test_is_that_of_the_content_alone(self):
        pictures, labels = images(200, 0)
        moved = np.random.default_rng(1).permutation(200)
        found = content.order(pictures, labels)
        assert sorted(found) == list(range(200)) and not np.array_equal(found, np.arange(200))
        assert np.array_equal(pictures[moved][content.order(pictures[moved], labels[moved])], pictures[found])

    def test_first_images_are_a_fair_sample(self):
        """Of 4,000 the first 1,000: a quarter of the bright and of the dark, within four standard deviations."""
        bright = np.repeat([0, 1], 2000)
        pictures = images(4000, 0)[0] // 2 + 100 * bright[:, None, None, None].astype(np.uint8)
        drawn = bright[content.order(pictures, bright)[:1000]].sum()
        assert abs(drawn - 500) < 4 * np.sqrt(1000 * 0.25 * 0.75)

    def test_of_equal_images_a_part_is_drawn(self):
        """A generator that repeats one image: a sample holds as large a share of it as the set, not all or nothing."""
        pictures, labels = images(1000, 0)
        pictures[:500], labels[:500] = pictures[0], labels[0]
        first = content.order(pictures, labels)[:200]
        assert abs((first < 500).sum() - 100) < 4 * np.sqrt(200 * 0.25 * 0.8)
        moved = np.random.default_rng(1).permutation(1000)
        again = content.order(pictures[moved], labels[moved])[:200]
        assert np.array_equal(pictures[moved][again], pictures[first])


class TestLikeness:
    def test_depends_neither_on_order_nor_on_the_size_of_batches(self, space, network, monkeypatch):
        """Sets larger than `points`, of which samples are taken, with images that repeat."""
        real, minted, test = images(130, 1), images(400, 2), images(150, 0)
        minted[0][200:260], minted[1][200:260] = minted[0][7], minted[1][7]
        found = likeness(space, real, minted)
        monkeypatch.setattr(feature_network, "_BATCH", 37)
        mixed = [tuple(part[np.random.default_rng(len(each[1])).permutation(len(each[1]))] for part in each) for each in (test, real, minted)]  # fmt: skip
        again = likeness(Space(network, mixed[0], CLASSES, space.params), *mixed[1:])
        assert (
            found["synthetic"]["frechet_infinity"] is not None and found["synthetic"]["frechet_intra_class"] is not None
        )
        for source in found:
            assert found[source].pop("measured") == again[source].pop("measured")
            for name, value in found[source].items():
                assert again[source][name] == pytest.approx(value, rel=1e-9, abs=0), name

    def test_as_many_images_of_both_sources_also_of_a_class(self, space):
        """Worked out anew from the features: each source's first n of all and of a class, against the whole test set."""
        real, minted = images(130, 1), images(400, 2)
        found = likeness(space, real, minted)
        counts = np.bincount(real[1], minlength=CLASSES)
        for name, (pictures, labels) in (("real", real), ("synthetic", minted)):
            row, place = found[name], content.order(pictures, labels)
            features, its = space.network.features(pictures)[place], labels[place]
            assert row["frechet_classifier"] == pytest.approx(frechet(features[:130], space.test.features), rel=1e-6)
            assert row["kid"] == pytest.approx(kernel_distance(features[:60], space.test.features[:60]), rel=1e-6)
            own = [features[its == label][: counts[label]] for label in range(CLASSES)]
            others = [space.test.features[space.test.labels == label] for label in range(CLASSES)]
            each = [frechet(*pair) for pair in zip(own, others)]
            assert row["frechet_per_class"] == pytest.approx(each, rel=1e-6)
            assert row["frechet_intra_class"] == pytest.approx(np.mean(each), rel=1e-6)
            told = row["measured"]
            assert (told["frechet_classifier"]["n"], told["frechet_classifier"]["n_reference"], told["kid"]["n"]) == (130, 150, 60)  # fmt: skip
            assert told["frechet_per_class"]["n"] == counts.tolist() and told["frechet_intra_class"]["n"] == 130
            assert told["frechet_infinity"]["sizes"][::14] == [26, 130] and len(told["frechet_infinity"]["sizes"]) == 15
        assert found["real"]["measured"]["precision"] == {
            **found["synthetic"]["measured"]["precision"],
            "split": "train",
        }

    def test_of_one_distribution_both_rows_are_alike(self, space):
        """Fréchet falls with n: of 4,000 images it would be well below that of 100, though both are drawn alike."""
        found = likeness(space, images(100, 1), images(4000, 2))
        real, minted = (found[source]["frechet_classifier"] for source in ("real", "synthetic"))
        assert minted == pytest.approx(real, rel=0.5)
        whole = frechet(space.points("synthetic", *images(4000, 2)).features, space.test.features)
        assert whole < 0.8 * minted

    def test_no_covariance_of_a_class_of_few(self, space):
        """Below two images a feature the distance within a class is nearly all bias: none, and why; kernels have no bias."""
        pictures, labels = images(400, 2)
        kept = np.concatenate([np.flatnonzero(labels < 2), np.flatnonzero(labels == 2)[:12]])
        row = likeness(space, (pictures[kept], labels[kept]), images(400, 4))["synthetic"]
        assert row["frechet_per_class"][2] is None and None not in row["frechet_per_class"][:2] + row["kid_per_class"]
        assert row["frechet_intra_class"] == pytest.approx(np.mean(row["frechet_per_class"][:2]))
        told = row["measured"]["frechet_intra_class"]
        assert told["absent"] == "classes of fewer than 16 images: 1" and told["classes"] == 2
        assert row["measured"]["kid_per_class"]["n"][2] == 12

    def test_images_without_labels_are_measured_as_a_whole(self, space):
        pictures, labels = images(200, 1)
        found = likeness(space, (pictures, labels), (pictures, np.full(200, -1)))["synthetic"]
        assert found["frechet_classifier"] > 0 and "frechet_per_class" not in found


def test_points_of_a_class_keep_their_order():
    points = Points("train", np.arange(4), np.arange(4.0)[:, None], np.array([1, 0, 1, 0]))
    assert points.of_class(1)[:, 0].tolist() == [0, 2] and replace(points, split="test").per_class(3).tolist() == [
        2,
        2,
        0,
    ]
