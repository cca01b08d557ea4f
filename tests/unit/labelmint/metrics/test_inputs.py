"""Sets of images in the frozen network's features: as many of each source, whatever their order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from labelmint.classifiers import feature_network
from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.metrics.frechet import extrapolation_sizes, frechet, frechet_classifier
from labelmint.metrics.inputs import Comparison, ImageSet, LabelledImages
from labelmint.metrics.kid import kernel_distance, kid
from labelmint.metrics.precision_recall import precision_recall
from labelmint.metrics.registry import Values, merged
from labelmint.metrics.sampling_order import content_order
from labelmint.metrics.settings import Metrics
from tests.unit.labelmint.metrics.conftest import CLASSES, FEATURES, images
from tests.unit.labelmint.metrics.conftest import compare as compare_sets

COUNTS = ("precision", "recall", "density", "coverage")
ROUNDING = 3 * math.sqrt(32 * 9) * 2**-24
"""Bound of how far the shape of a batch moves a feature, relative to the largest feature.

A float32 sum of n terms has a rounding error of about sqrt(n) * 2^-24 (Higham 2002, section 4.2), and another
shape may mean another order of summation. The network has three layers, and at most 32 x 9 terms in a sum.
"""


def compare(
    network: FrozenNetwork, real: LabelledImages, synthetic: LabelledImages, test: LabelledImages
) -> Comparison:
    return compare_sets(network, real, synthetic, test, params=Metrics(points=60))


def similarity(comparison: Comparison) -> dict[str, Values]:
    """Fréchet and kernel distances, precision and recall of both sources."""
    values: dict[str, Values] = {"real": {}, "synthetic": {}}
    for function in (frechet_classifier, kid, precision_recall):
        for source, found in function(comparison).items():
            values[source] = merged(values[source], found)
    return values


class Tolerance:
    """Bounds of how far distances move when every feature moves by ROUNDING times the largest one."""

    def __init__(self, comparison: Comparison):
        features = [each.features for each in (comparison.test, *comparison.sources.values())]
        largest = max(float(np.abs(each).max()) for each in features)
        self.step = math.sqrt(FEATURES) * ROUNDING * largest  # of one image, as a vector
        self.kernel = (
            1 + max(float((each**2).sum(1).max()) for each in features) / FEATURES
        )  # largest x.y / d + 1

    def frechet(self, value: float) -> float:
        """Bound for a Fréchet distance.

        Its root obeys the triangle inequality, and Gaussians fitted to two sets of points are no farther
        apart than the points (Gelbrich 1990): so the root moves by one step for each of the two sets, also
        where a covariance is nearly singular.
        """
        return 2 * math.sqrt(value) * 2 * self.step + (2 * self.step) ** 2

    def extrapolated(self, images: ImageSet, reference: ImageSet, n: int) -> float:
        """Bound for frechet_infinity, a weighted sum of Fréchet distances with weights of both signs."""
        sizes = np.array(extrapolation_sizes(n, FEATURES))
        weights = np.linalg.pinv(np.vander(1 / sizes, 2))[1]
        largest = max(frechet(images.features[:size], reference.features) for size in sizes)
        return float(np.abs(weights).sum() * self.frechet(largest))

    def kid(self, value: float, n: int) -> float:
        """Bound for a kernel distance of n images.

        It is |mean phi(x) - mean phi(y)|^2 - (V(x) + V(y)) / (n - 1), where V is the variance of the
        embedding phi. |phi(x)| is at most kernel^1.5, and phi moves by at most 3 kernel / sqrt(d) times as
        far as x: the mixed second derivative of the kernel is 3 (t + 1)^2 / d + 6 (t + 1) t / d with t = x.y
        / d, at most 9 kernel^2 / d.
        """
        step = 3 * self.kernel / math.sqrt(FEATURES) * self.step
        deviation = float(self.kernel**1.5)
        means = math.sqrt(abs(value) + 2 * deviation**2 / (n - 1))
        return 4 * step * (means + deviation / (n - 1)) + 8 * step * step


class TestInvariance:
    @pytest.fixture
    def pair(self, network, monkeypatch) -> tuple[Comparison, Comparison]:
        """Comparisons of the same sets, the second in other orders and batches; images repeat."""
        sets = images(130, 1), images(400, 2), images(150, 0)
        pixels, labels = sets[1]
        pixels[200:260], labels[200:260] = pixels[7], labels[7]
        first = compare(network, *sets)
        monkeypatch.setattr(feature_network, "_BATCH", 37)
        orders = [np.random.default_rng(len(labels)).permutation(len(labels)) for _, labels in sets]
        return first, compare(
            network, *((part[0][order], part[1][order]) for part, order in zip(sets, orders))
        )

    def test_features_move_by_rounding_only(self, pair):
        first, second = pair
        for source in first.sources:
            features = first.sources[source].features
            change = np.abs(features - second.sources[source].features).max()
            assert change <= ROUNDING * np.abs(features).max()

    def test_metrics_depend_neither_on_order_nor_on_the_size_of_batches(self, pair):
        """Sets larger than `points`, of which samples are taken."""
        first, second = pair
        found, again, bound = similarity(first), similarity(second), Tolerance(first)
        for source, values in found.items():
            other = again[source]
            assert values["measured"] == other["measured"]
            assert [values[name] for name in COUNTS] == [other[name] for name in COUNTS]
            assert other["kid"] == pytest.approx(values["kid"], abs=bound.kid(values["kid"], 60), rel=0)
            counts = values["measured"]["kid_per_class"]["n"]
            for value, same, count in zip(values["kid_per_class"], other["kid_per_class"], counts):
                assert same == pytest.approx(value, abs=bound.kid(value, count), rel=0)
            distances = [
                [row["frechet_classifier"], row["frechet_intra_class"], *row["frechet_per_class"]]
                for row in (values, other)
            ]
            for value, same in zip(*distances):
                assert same == pytest.approx(value, abs=bound.frechet(value), rel=0)
            limit = bound.extrapolated(first.sources[source], first.test, first.size)
            assert other["frechet_infinity"] == pytest.approx(values["frechet_infinity"], abs=limit, rel=0)

    def test_tolerances_are_far_below_what_another_sample_changes(self, network):
        sets = images(130, 1), images(400, 2), images(150, 0)
        first = compare(network, *sets)
        bound, values = Tolerance(first), similarity(first)["synthetic"]
        other = similarity(compare(network, sets[0], images(400, 3), sets[2]))["synthetic"]
        for name, limit in (
            ("frechet_classifier", bound.frechet(values["frechet_classifier"])),
            ("kid", bound.kid(values["kid"], 60)),
            ("frechet_infinity", bound.extrapolated(first.sources["synthetic"], first.test, first.size)),
        ):
            assert abs(values[name] - other[name]) > 3 * limit, name


def test_real_images_are_those_that_the_network_has_not_seen(network):
    """And known features are not computed again."""
    known = np.random.default_rng(3).random((50, 8), np.float32)
    rows, unseen = np.arange(10, 40), np.arange(0, 45, 3)
    trained = replace(network, training=known, unseen=unseen)
    test, training, synthetic = images(20, 0), images(50, 1), images(25, 2)
    found = Comparison.of(trained, test, training, synthetic, rows=rows, classes=CLASSES, params=Metrics())
    for own, chosen in ((found.sources["real"], unseen), (found.shown, rows)):
        assert np.array_equal(own.features, known[chosen[own.indices]])
        assert np.array_equal(own.images, training[0][chosen])
        assert np.array_equal(own.labels, training[1][chosen[own.indices]])
    made = found.sources["synthetic"]
    assert np.array_equal(made.features, network.features(synthetic[0])[made.indices])
    assert found.size == 15


class TestSizes:
    def test_both_sources_have_as_many_images_also_of_a_class(self, network):
        """Computed here from the features: the first n of each source, in all and by class."""
        sets = {"real": images(130, 1), "synthetic": images(400, 2)}
        comparison = compare(network, sets["real"], sets["synthetic"], images(150, 0))
        found, test = similarity(comparison), comparison.test
        counts = np.bincount(sets["real"][1], minlength=CLASSES)
        for source, (pixels, labels) in sets.items():
            row, order = found[source], content_order(pixels, labels)
            features, ordered = network.features(pixels)[order], labels[order]
            assert row["frechet_classifier"] == pytest.approx(
                frechet(features[:130], test.features), rel=1e-6
            )
            assert row["kid"] == pytest.approx(kernel_distance(features[:60], test.features[:60]), rel=1e-6)
            per_class = [
                frechet(features[ordered == label][: counts[label]], test.features[test.labels == label])
                for label in range(CLASSES)
            ]
            assert row["frechet_per_class"] == pytest.approx(per_class, rel=1e-6)
            assert row["frechet_intra_class"] == pytest.approx(np.mean(per_class), rel=1e-6)
            how = row["measured"]
            assert (how["frechet_classifier"]["n"], how["frechet_classifier"]["n_reference"]) == (130, 150)
            assert (how["kid"]["n"], how["kid"]["n_reference"]) == (60, 60)
            assert how["frechet_per_class"]["n"] == counts.tolist()
            assert how["frechet_intra_class"]["n"] == 130
            assert how["frechet_infinity"]["sizes"][::14] == [26, 130]
            assert len(how["frechet_infinity"]["sizes"]) == 15
        real, synthetic = (found[source]["measured"]["precision"] for source in ("real", "synthetic"))
        assert real == synthetic | {"split": "train"}

    def test_sources_of_one_distribution_have_similar_values(self, network):
        """The distance falls with n: for 4,000 images it would be well below that for 100."""
        comparison = compare(network, images(100, 1), images(4000, 2), images(150, 0))
        found = frechet_classifier(comparison)
        real, synthetic = (found[source]["frechet_classifier"] for source in ("real", "synthetic"))
        assert synthetic == pytest.approx(real, rel=0.5)
        whole = frechet(comparison.sources["synthetic"].features, comparison.test.features)
        assert whole < 0.8 * synthetic

    def test_a_small_class_has_no_covariance(self, network):
        """Below two images a feature a distance is mostly bias, and left out; kernel distances have none."""
        pixels, labels = images(400, 2)
        kept = np.concatenate([np.flatnonzero(labels < 2), np.flatnonzero(labels == 2)[:12]])
        comparison = compare(network, (pixels[kept], labels[kept]), images(400, 4), images(150, 0))
        row = similarity(comparison)["synthetic"]
        *others, small = row["frechet_per_class"]
        assert small is None
        assert None not in [*others, *row["kid_per_class"]]
        assert row["frechet_intra_class"] == pytest.approx(np.mean(others))
        how = row["measured"]
        assert how["frechet_intra_class"]["absent"] == "classes of fewer than 16 images: 1"
        assert how["frechet_intra_class"]["classes"] == 2
        assert how["kid_per_class"]["n"][2] == 12

    def test_images_without_labels_have_no_values_per_class(self, network):
        pixels, labels = images(200, 1)
        comparison = compare(network, (pixels, labels), (pixels, np.full(200, -1)), images(150, 0))
        found = similarity(comparison)["synthetic"]
        assert found["frechet_classifier"] > 0
        assert "frechet_per_class" not in found
        assert "kid_per_class" not in found


def test_images_of_a_class_keep_their_order():
    features, labels = np.arange(4.0)[:, None], np.array([1, 0, 1, 0])
    points = ImageSet("train", np.zeros((4, 1, 2, 2), np.uint8), np.arange(4), features, labels)
    assert points.features_of(1)[:, 0].tolist() == [0, 2]
    assert points.per_class(3).tolist() == [2, 2, 0]
