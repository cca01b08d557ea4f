"""Metrics at known answers."""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import eigvals, sqrtm
from scipy.spatial.distance import cdist

from labelmint.data.storage.tensors import load_set, save_set
from labelmint.metrics.accuracy import confusion_matrix, summary, wilson
from labelmint.metrics.distances import frechet, frechet_infinity, kernel_distance, nearest, neighbourhoods, radii
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm
from tests.stages.test_arms import beside


def gaussian(count: int, size: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, size))


class TestAccuracy:
    @pytest.mark.parametrize(
        ("correct", "total", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_wilson_interval_as_tabled_by_newcombe_1998(self, correct, total, low, high):
        assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)

    def test_confusion_has_true_classes_in_rows(self):
        assert confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3).tolist() == [
            [1, 0, 1],
            [0, 1, 0],
            [0, 1, 0],
        ]

    def test_summary(self):
        found = summary(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
        assert (found["accuracy"], found["macro_recall"], found["worst_class_recall"], found["recalls"]) == (
            0.75,
            0.5,
            0.0,
            [1.0, 0.0],
        )


class TestFrechet:
    def test_of_a_set_with_itself_is_zero(self):
        points = gaussian(500, 8, 0)
        assert frechet(points, points) == pytest.approx(0, abs=1e-9)

    def test_of_a_shift_is_its_squared_length(self):
        points = gaussian(500, 4, 0)
        assert frechet(points, points + np.array([3.0, 0, 4, 0])) == pytest.approx(25, rel=1e-9)

    def test_of_a_scaled_set_is_in_closed_form(self):
        # C2 = 4 C1 and the same mean: tr(C1 + 4 C1 - 2 * 2 C1) = tr C1
        points = gaussian(500, 4, 0)
        points -= points.mean(0)
        assert frechet(points, 2 * points) == pytest.approx(np.trace(np.cov(points, rowvar=False)), rel=1e-9)

    @pytest.mark.parametrize("count", [300, 20])  # fewer points than dimensions: a singular covariance
    def test_agrees_with_the_matrix_square_root(self, count):
        first, second = gaussian(count, 32, 0), gaussian(count, 32, 1, 0.2) @ np.diag(np.linspace(0.5, 2, 32))
        c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
        # Of a singular product sqrtm is unsure; its trace is the sum of the roots of the eigenvalues, real and not negative.
        root = np.trace(sqrtm(c1 @ c2).real) if count > 32 else np.sqrt(eigvals(c1 @ c2).real.clip(min=0)).sum()
        expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(c1 + c2) - 2 * root
        assert frechet(first, second) == pytest.approx(expected, rel=1e-6)

    def test_of_features_far_from_zero_keeps_its_digits(self):
        """float32, as features are, with a mean a thousand times the deviation; in chunks of other sizes than the set's."""
        first, second = (gaussian(2500, 8, seed, 1000 + seed / 4).astype(np.float32) for seed in (0, 1))
        c1, c2 = (np.cov(part.astype(np.float64), rowvar=False) for part in (first, second))
        means = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
        expected = (means**2).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
        assert frechet(first, second) == pytest.approx(expected, rel=1e-6)

    def test_memory_is_that_of_chunks(self):
        """200,000 x 64 float32 are 51 MB: a copy in float64 would be 102 MB, np.cov's another, and of 15 sizes as many again."""
        points = np.random.default_rng(0).standard_normal((200_000, 64), dtype=np.float32)
        tracemalloc.start()
        values = frechet(points, points[::2]), frechet_infinity(points[:50_000], points)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert values[0] < 0.01 and abs(values[1]) < 0.01 and peak < 8 << 20

    def test_does_not_depend_on_order(self):
        first, second = gaussian(200, 8, 0), gaussian(300, 8, 1)
        assert frechet(first[::-1], second[::-1]) == pytest.approx(frechet(first, second), rel=1e-9)


class TestFrechetInfinity:
    def test_takes_away_the_bias_of_few_points(self):
        """Of two draws from one Gaussian the distance is all bias: 0 in truth."""
        reference = gaussian(50_000, 8, 0)
        values = [frechet_infinity(gaussian(600, 8, seed), reference) for seed in range(1, 13)]
        plain = np.mean([frechet(gaussian(600, 8, seed), reference) for seed in range(1, 13)])
        assert plain > 0.03 and abs(np.mean(values)) < plain / 4

    def test_finds_a_true_distance(self):
        assert frechet_infinity(gaussian(4000, 4, 1, 0.5), gaussian(50_000, 4, 0)) == pytest.approx(1.0, abs=0.08)

    def test_is_the_line_through_the_distances_of_the_first_points(self):
        """Each size measured anew by `frechet`, as ours adds points to those before."""
        points, reference = gaussian(2600, 6, 0, 0.3), gaussian(900, 6, 1)
        sizes = np.linspace(520, 2600, 15).astype(int)
        slope_and_end = np.polyfit(1 / sizes, [frechet(points[:size], reference) for size in sizes], 1)
        assert frechet_infinity(points, reference) == pytest.approx(slope_and_end[1], rel=1e-6)

    def test_is_not_claimed_of_too_few(self):
        assert frechet_infinity(gaussian(100, 64, 0), gaussian(500, 64, 1)) is None


class TestKernelDistance:
    def test_agrees_with_the_sum_over_all_pairs(self):
        first, second = gaussian(30, 5, 0), gaussian(40, 5, 1, 0.5)
        kernel = lambda a, b: (a @ b / 5 + 1) ** 3  # noqa: E731
        within = [
            np.mean([kernel(part[i], part[j]) for i in range(len(part)) for j in range(len(part)) if i != j])
            for part in (first, second)
        ]
        between = np.mean([kernel(a, b) for a in first for b in second])
        assert kernel_distance(first, second) == pytest.approx(sum(within) - 2 * between, rel=1e-9)

    def test_is_unbiased_at_zero(self):
        values = [kernel_distance(gaussian(50, 4, seed), gaussian(50, 4, seed + 1000)) for seed in range(60)]
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)
        assert min(values) < 0  # a biased estimate never falls below zero


class TestNeighbourhoods:
    def test_equal_gaussians(self):
        # Naeem et al. 2020: density near 1, coverage near 1 - 1/2^k, though precision is not near 1 in many dimensions
        found = neighbourhoods(gaussian(2000, 64, 0), gaussian(2000, 64, 1), k=5)
        assert found["density"] == pytest.approx(1.0, abs=0.05) and found["coverage"] == pytest.approx(0.97, abs=0.015)

    @pytest.mark.parametrize("k", [1, 5])
    def test_agree_with_the_definitions_over_all_pairs(self, k):
        """Kynkäänniemi et al. 2019, eq. 1 and 2; Naeem et al. 2020, eq. 3 and 5: loops over SciPy's distances."""
        real, fake = gaussian(150, 5, 0), gaussian(150, 5, 1, 0.4) * 0.8
        # A point is not its own neighbour: the k-th of the others stands at place k of its sorted row.
        own, others = np.sort(cdist(real, real), 1)[:, k], np.sort(cdist(fake, fake), 1)[:, k]
        apart, count = cdist(real, fake), range(150)
        expected = {
            "precision": np.mean([any(apart[i, j] <= own[i] for i in count) for j in count]),
            "recall": np.mean([any(apart[i, j] <= others[j] for j in count) for i in count]),
            "density": sum(apart[i, j] <= own[i] for i in count for j in count) / (k * 150),
            "coverage": np.mean([min(apart[i]) <= own[i] for i in count]),
        }
        assert 0 < min(expected.values()) < 1 and neighbourhoods(real, fake, k) == pytest.approx(expected, rel=1e-12)

    def test_a_set_against_itself_is_perfect(self):
        found = neighbourhoods(gaussian(100, 3, 0), gaussian(100, 3, 0))
        assert found["precision"] == found["recall"] == found["coverage"] == 1

    def test_collapse_keeps_precision_and_loses_recall_and_coverage(self):
        real = gaussian(1000, 4, 0)
        fake = np.repeat(real[:1], 1000, 0) + gaussian(1000, 4, 1) * 1e-3
        found = neighbourhoods(real, fake)
        assert found["precision"] == 1 and found["recall"] < 0.01 and found["coverage"] < 0.05

    def test_far_away_is_worth_nothing(self):
        assert set(neighbourhoods(gaussian(100, 4, 0), gaussian(100, 4, 1, 50.0)).values()) == {0.0}

    def test_nearest(self):
        distances, places = nearest(np.array([[0.0, 0], [5, 5]]), np.array([[3.0, 4], [5, 6]]))
        assert distances.tolist() == pytest.approx([5, 1]) and places.tolist() == [0, 1]

    def test_radii(self):
        points = np.array([[0.0], [1], [3], [7]])
        assert radii(points, 1).tolist() == pytest.approx([1, 1, 2, 4])
        assert radii(points, 2, of=np.array([3, 0])).tolist() == pytest.approx([6, 3])

    def test_memory_is_bounded_by_blocks(self):
        """20,000 images of 32 x 32 x 3 pixels would be 490 MB as float64, their distances to 2,000 others 320 MB."""
        others = np.random.default_rng(0).integers(0, 256, (20_000, 3072), dtype=np.uint8)
        tracemalloc.start()
        distances, places = nearest(others[:2000], others)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert np.array_equal(places, np.arange(2000)) and distances.max() == 0 and peak < 300 << 20

    def test_in_chunks_as_at_once(self, monkeypatch):
        """Memory is bounded by chunks of rows; neither their size nor the order changes anything."""
        real, fake = gaussian(70, 4, 0), gaussian(70, 4, 1, 0.3)
        whole = neighbourhoods(real, fake), kernel_distance(real, fake)
        near = nearest(real, fake)
        monkeypatch.setattr("labelmint.metrics.distances._CHUNK", 13)
        monkeypatch.setattr("labelmint.metrics.distances._CHUNK_BYTES", 1)
        assert neighbourhoods(real, fake) == whole[0]
        assert np.array_equal(nearest(real, fake)[1], near[1]) and np.allclose(nearest(real, fake)[0], near[0])
        assert kernel_distance(real, fake) == pytest.approx(whole[1], rel=1e-12)
        assert neighbourhoods(real[::-1], fake[::-1]) == pytest.approx(whole[0])


class TestStage:
    def test_a_row_for_each_source_with_its_protocol(self, workspace):
        content = load_json(workspace.metrics(Arm("dcgan", 100, 0)))
        assert [row["source"] for row in content["rows"]] == ["real", "synthetic", "mixed"]
        for row in content["rows"]:
            assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
            assert sum(map(sum, row["confusion"])) == 120
        real, synthetic, _ = content["rows"]
        # Real images are nearer to real images than what two epochs of training make.
        assert real["frechet_classifier"] < synthetic["frechet_classifier"]
        assert real["coverage"] > synthetic["coverage"]
        assert "sha256" in content["protocol"]["features"] and "120 real test images" in content["protocol"]["accuracy"]
        json.dumps(content, allow_nan=False)

    def test_every_number_has_its_n(self, workspace):
        """Bounds and deviations are their number's."""
        content = load_json(workspace.metrics(Arm("dcgan", 100, 0)))
        for row in content["rows"]:
            numbers = {name for name, value in row.items() if isinstance(value, float) or name.endswith(("_per_class", "_copies", "_infinity", "_intra_class"))}  # fmt: skip
            numbers = {re.sub("_(low|high|deviation)$", "", name) for name in numbers}
            assert len(numbers) >= {"real": 10, "synthetic": 20, "mixed": 3}[row["source"]]
            for name in numbers:
                how = row["measured"][name]
                assert how["split"] and how["resize"] and how["network"].startswith(("sha256 ", "none: ")), name
                whole = how["n"] if isinstance(how["n"], list) else [how["n"]]
                assert all(isinstance(n, int) for n in whole) and (sum(whole) > 0 or row[name] is None), name
        real, synthetic, _ = (row["measured"] for row in content["rows"])
        assert (
            real["frechet_classifier"]["n"]
            == synthetic["frechet_classifier"]["n"]
            == 120
            < synthetic["exact_copies"]["n"]
        )
        assert (synthetic["memorised"]["n"], synthetic["memorised"]["n_training"]) == (150, 120)
        assert synthetic["memorised_pixels"]["network"] == "none: pixels" and synthetic["diversity"]["n"] == 120

    def test_gan_test_has_an_interval(self, workspace):
        found = load_json(workspace.metrics(Arm("dcgan", 100, 0)))["gan_test"]
        assert found["measured"]["accuracy"]["n"] == 150 and found["measured"]["recalls"]["n"] == [15] * 10
        assert found["measured"]["accuracy"]["network"].startswith("sha256 ")
        assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx(wilson(150 * found["accuracy"], 150))


class TestSplit:
    """metrics.split: settings are chosen by images that are not the test set's."""

    ARM = Arm("dcgan", 100, 0)

    def evaluate(self, params, layout) -> None:
        module = entry("evaluate")
        asked = replace(params, percents=[100], metrics=replace(params.metrics, split="validation"))
        module.run(select(module.Params, asked, self.ARM), layout, NullTracker())

    def test_without_such_images_it_is_refused(self, params, workspace):
        before = workspace.metrics(self.ARM).read_bytes()
        with pytest.raises(InputError, match="metrics.split: validation, but there are no such images; set dataset.validation_percent"):  # fmt: skip
            self.evaluate(params, workspace)
        assert workspace.metrics(self.ARM).read_bytes() == before

    def test_numbers_and_page_are_of_the_validation_images(self, params, workspace, tmp_path):
        layout = beside(workspace, tmp_path)
        (tmp_path / "data" / "classifiers").symlink_to(workspace.root / "data" / "classifiers")
        for stage in ("train_baselines", "train_classifiers"):
            (tmp_path / "data" / "timings" / stage).symlink_to(workspace.root / "data" / "timings" / stage)
        layout.tensors.unlink()
        layout.tensors.mkdir()
        for path in workspace.tensors.iterdir():
            if path.name not in ("test", "validation"):  # the test set is not there to be opened
                (layout.tensors / path.name).symlink_to(path)
        images, labels = load_set(workspace.test_tensors)
        save_set(layout.validation_tensors, np.array(images[:70]), labels[:70])
        self.evaluate(params, layout)
        content = load_json(layout.metrics(self.ARM))
        assert (content["split"], content["n_test"]) == ("validation", 70)
        for row in content["rows"]:
            assert row["split"] == "validation" and sum(map(sum, row["confusion"])) == 70
            assert row["measured"]["accuracy"] | {"split": "validation", "n": 70} == row["measured"]["accuracy"]
            told = json.dumps(row["measured"])
            assert '"reference": "validation"' in told and '"test"' not in told
        module = entry("report")
        module.run(select(module.Params, replace(params, percents=[100]), None), layout, NullTracker())
        page = (layout.reports / "index.html").read_text()
        assert "Judged by the validation images (70), not by the test set" in page and "70 real test images" in page
        assert "Judged by the" not in (workspace.reports / "index.html").read_text()
