"""Memorization: planted copies are found, and new images are not called copies."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import fisher_exact, mannwhitneyu, norm

from labelmint.metrics import memorization, new_images
from labelmint.metrics.inputs import Comparison
from labelmint.metrics.memorization import Neighbours
from labelmint.metrics.nearest import nearest
from labelmint.metrics.training_images import TrainingImages
from tests.unit.labelmint.metrics.conftest import compare, images
from tests.unit.labelmint.metrics.points import gaussian


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    """Training and test points of one Gaussian."""
    return gaussian(1200, 6, 0), gaussian(800, 6, 1)


def c_t(*arguments) -> float:
    found = memorization.copying(*arguments).value
    assert found is not None
    return found


class TestFeatures:
    def test_new_points_are_new(self, sets):
        training, test = sets
        new = gaussian(800, 6, 2)
        found = Neighbours.of(new, test, training)
        assert memorization.fraction_near(found).value == pytest.approx(0.01, abs=0.01)
        assert abs(c_t(new, test, training, found)) < 2.5
        authentic = memorization.authenticity(found, training)
        assert authentic.value == pytest.approx(authentic.of_test, abs=0.06)

    def test_noisy_copies_are_found(self, sets):
        training, test = sets
        copies = training[:800] + 0.01 * gaussian(800, 6, 3)
        found = Neighbours.of(copies, test, training)
        assert memorization.fraction_near(found).value > 0.99
        assert np.array_equal(found.indices, np.arange(800))
        assert c_t(copies, test, training, found) < -10
        assert memorization.authenticity(found, training).value < 0.01

    def test_underfitting_differs_from_copying(self, sets):
        training, test = sets
        wide = 2 * gaussian(800, 6, 4)
        found = Neighbours.of(wide, test, training)
        assert c_t(wide, test, training, found) > 10

    def test_authenticity_agrees_with_the_definition_over_all_pairs(self):
        """Alaa et al. 2022, eq. 6, with SciPy's distances: some planted near copies are not authentic."""
        training, test = gaussian(200, 4, 0), gaussian(80, 4, 1)
        synthetic = np.concatenate([gaussian(60, 4, 2), training[:20] + 0.05 * gaussian(20, 4, 3)])
        within = cdist(training, training) + np.diag(np.full(200, np.inf))
        found = memorization.authenticity(Neighbours.of(synthetic, test, training), training)
        for value, points in ((found.value, synthetic), (found.of_test, test)):
            distances = cdist(points, training)
            expected = np.mean([row.min() > within[row.argmin()].min() for row in distances])
            assert 0.1 < expected < 0.9
            assert value == expected

    def test_the_statistic_of_one_cell_is_that_of_mann_and_whitney(self):
        training, test, synthetic = gaussian(300, 3, 0), gaussian(60, 3, 1), gaussian(50, 3, 2)
        found = Neighbours.of(synthetic, test, training)
        z = c_t(synthetic, test, training, found)
        library = mannwhitneyu(found.synthetic, found.test, method="asymptotic", use_continuity=False)
        assert memorization.copying(synthetic, test, training, found).cells == 1
        assert 2 * norm.sf(abs(z)) == pytest.approx(library.pvalue, rel=1e-9)

    def test_equal_distances_share_their_mean_rank(self):
        """As with copies, which all have distance 0; SciPy corrects the variance for ties too."""
        rng = np.random.default_rng(0)
        distances = rng.integers(0, 4, 90).astype(float)
        found = Neighbours(distances[:50], np.zeros(50, int), distances[50:], np.zeros(40, int))
        z = c_t(np.zeros((50, 2)), np.zeros((40, 2)), np.zeros((300, 2)), found)
        library = mannwhitneyu(found.synthetic, found.test, method="asymptotic", use_continuity=False)
        assert 2 * norm.sf(abs(z)) == pytest.approx(library.pvalue, rel=1e-9)

    def test_a_cell_has_500_images(self, sets):
        training, test = sets
        new = gaussian(400, 6, 5)
        found = Neighbours.of(new, test, training)
        assert memorization.copying(new, test, training, found).cells == 2


DRAWS = 100


def p_values(
    measure: str, count: int, copies: float, *, draws: int, training_images: int = 1000
) -> np.ndarray:
    """P of a measure for new sets of `count` synthetic and test points, a fraction of the former copies."""
    training, found = gaussian(training_images, 4, 0), []
    for seed in range(1, draws + 1):
        points = gaussian(2 * count, 4, seed)
        points[: round(copies * count)] = training[: round(copies * count)] + 1e-3
        distances = cdist(points, training)
        nearest, indices = distances.min(1), distances.argmin(1)
        synthetic, test = points[:count], points[count:]
        near = Neighbours(nearest[:count], indices[:count], nearest[count:], indices[count:])
        if measure == "memorised":
            found.append(memorization.fraction_near(near).p)
        elif measure == "authentic":
            found.append(memorization.authenticity(near, training).p)
        else:
            p = memorization.copying(synthetic, test, training, near).p
            assert p is not None
            found.append(p)
    return np.array(found)


class TestCalibration:
    """p of new images is uniform or, of counts, a little larger; below .01 are 1 in 100."""

    @pytest.mark.parametrize("measure", ["memorised", "authentic", "copying"])
    def test_new_images_are_rarely_called_copies(self, measure):
        found = p_values(measure, 150, 0.0, draws=DRAWS, training_images=500)
        assert (found < 0.01).sum() <= 4  # 1 expected, 5 or more in 1 of 300 tests
        assert 0.02 <= (found < 0.1).mean() <= 0.18

    @pytest.mark.parametrize(
        ("measure", "count"), [("memorised", 100), ("memorised", 1000), ("copying", 1200)]
    )
    def test_a_tenth_of_copies_is_found(self, measure, count):
        assert (p_values(measure, count, 0.1, draws=20) < 0.01).mean() >= 0.9

    def test_p_of_the_nearest_by_enumeration(self):
        """Of all orders of 3 synthetic and 4 test distances, those with 2 or more below the second test."""
        orders = [set(chosen) for chosen in itertools.combinations(range(7), 3)]
        below = [sum(place < sorted(set(range(7)) - order)[1] for place in order) for order in orders]
        assert new_images.near_p_value(2, 3, 2, 4) == pytest.approx(np.mean(np.array(below) >= 2))

    def test_p_of_fewer_is_that_of_fisher(self):
        library = fisher_exact([[3, 7], [8, 4]], alternative="less").pvalue
        assert new_images.fewer_p_value(3, 10, 8, 12) == pytest.approx(library)


class TestMirrorImages:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 6, 6), dtype=np.uint8)
    training = TrainingImages(images, np.arange(0, 40, 2))

    @staticmethod
    def features(pixels: np.ndarray) -> np.ndarray:
        features: np.ndarray = pixels.reshape(len(pixels), -1).astype(float) / 255
        return features

    def test_exact_copies_are_counted_to_the_last_bit(self):
        copies = self.images[[3, 3, 7]].copy()
        assert memorization.exact_copies(copies, self.training) == 3
        copies[0, 0, 0, 0] ^= 1
        assert memorization.exact_copies(copies, self.training) == 2

    def test_only_mirror_images_that_training_may_show_are_copies(self):
        mirrored = self.images[[4, 5, 6]][..., ::-1]
        assert memorization.exact_copies(mirrored, self.training) == 2
        distances, indices = self.training.nearest_in_pixels(mirrored)
        assert distances[[0, 2]] == pytest.approx([0, 0], abs=1e-3)
        assert distances[1] > 100
        assert [self.training.origin(int(indices[row])) for row in (0, 2)] == [(4, True), (6, True)]

    @pytest.mark.parametrize("flipped", [np.arange(0, 40, 2), np.arange(40), np.arange(0)])
    def test_mirroring_the_queries_equals_mirroring_the_training_images(self, flipped):
        training = TrainingImages(self.images, flipped)
        queries = np.random.default_rng(1).integers(0, 256, (9, 1, 6, 6), dtype=np.uint8)
        points = training.points(self.features(self.images), self.features)
        assert points.shape == (40 + len(flipped), 36)
        distances, indices = nearest(self.features(queries), points)
        found = training.nearest_in_pixels(queries)
        assert found[0] / 255 == pytest.approx(distances)
        assert found[1].tolist() == indices.tolist()

    def test_spacing_ignores_an_images_own_mirror_image(self):
        """Mirror images of nearly symmetric images are nearer than others, and say nothing of the density."""
        rng = np.random.default_rng(0)
        plain = rng.normal(0, 1, (30, 4))
        training = TrainingImages(np.zeros((30, 1, 2, 2), np.uint8), np.arange(30))
        points, test = np.concatenate([plain, plain + 1e-3]), rng.normal(0, 1, (50, 4))
        found = Neighbours.of(plain[:10] + 0.05, test, points)
        assert memorization.authenticity(found, points).value == 1
        values = memorization.authenticity(found, points, training.mirror_images)
        assert values.value == 0
        assert 0 < values.of_test < 1


class TestPlantedCopies:
    """Two in three of 150 synthetic images are training images, every fourth of these mirrored."""

    @pytest.fixture
    def planted(self, network) -> tuple[Comparison, np.ndarray]:
        training, synthetic = images(120, 1), images(150, 2)
        copies = np.flatnonzero(np.arange(150) % 3 < 2)
        synthetic[0][copies] = training[0][copies % 120]
        synthetic[0][copies[::4]] = synthetic[0][copies[::4], ..., ::-1]
        comparison = compare(network, training, synthetic, images(120, 0), flipped=np.arange(120))
        return replace(comparison, rows=1000 + np.arange(120)), copies

    def test_move_every_measure(self, planted):
        """The ceiling of AuthPct is the third that is no copy; for 100 of 150 copies C_T is about -5."""
        comparison, copies = planted
        found = memorization.memorization(comparison)["synthetic"]
        assert found["exact_copies"] == len(copies) == 100
        assert min(found["memorised"], found["memorised_pixels"]) >= 2 / 3
        assert found["authentic"] <= 1 / 3
        assert found["copying"] < -3

    def test_the_closest_pairs_are_copies_and_their_originals(self, planted):
        comparison, copies = planted
        real, synthetic = (comparison.sources[source].images for source in ("real", "synthetic"))
        closest = memorization.memorization(comparison)["synthetic"]["nearest"]["pixels"]["closest"]
        assert len(closest) == 12
        for index, original, distance, mirrored in closest:
            shown = real[original - 1000]
            assert distance < 0.05
            assert index in copies
            assert np.array_equal(synthetic[index], shown[..., ::-1] if mirrored else shown)
