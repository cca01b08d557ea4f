"""What classifiers are trained on besides the first three: controls that must fail, oracles that must not, sizes, views."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from labelmint.classifiers import archive, fit, sources, views
from labelmint.classifiers import settings as params
from labelmint.classifiers.synthetic_sources import FreshSamples, synthetic_source, thinned, untrained
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive as generators
from labelmint.metrics import nearest_neighbour
from labelmint.metrics.differences import paired
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.conftest import CPU

ARM, BASELINE = Arm("dcgan", 100, 0), Arm("real", 100, 0)


def beside(workspace: Paths, root) -> Paths:
    """A workspace that shares all of another but what comes after its minted images."""
    (root / "data").mkdir()
    for path in (workspace.root / "data").iterdir():
        if path.name not in ("classifiers", "metrics", "timings"):
            (root / "data" / path.name).symlink_to(path)
    (root / "data" / "timings").mkdir()
    for path in (workspace.root / "data" / "timings").iterdir():
        if path.name == "train_generators":
            (root / "data" / "timings" / path.name).symlink_to(path)
    return Paths(root)


@pytest.fixture(scope="module")
def everything(params, workspace, tmp_path_factory) -> Paths:
    """Every source there is, to the report."""
    layout = beside(workspace, tmp_path_factory.mktemp("everything"))
    from labelmint.classifiers.settings import REAL_SOURCES, SYNTHETIC_SOURCES

    wanted = replace(params.classifier, sources=[*REAL_SOURCES[::-1], *SYNTHETIC_SOURCES], sweep=[5, 20], steps=60)
    asked = replace(params, classifier=wanted, percents=[100])
    for name, arm in (("train_baselines", BASELINE), ("train_classifiers", ARM), ("evaluate", ARM), ("report", None)):
        module = entry(name)
        module.run(select(module.Params, asked, arm), layout, NullTracker())
    return layout


@pytest.fixture(scope="module")
def rows(everything) -> dict[str, dict]:
    return {row["source"]: row for row in load_json(everything.metrics(ARM))["rows"]}


class TestEverySource:
    def test_each_has_a_row_and_the_same_steps(self, rows):
        assert set(rows) == {*params.REAL_SOURCES, *params.SYNTHETIC_SOURCES, "synthetic_5", "synthetic_20"}
        assert {row["steps"] for row in rows.values()} == {60}

    def test_real_images_teach_and_shuffled_labels_do_not(self, rows):
        assert rows["real"]["accuracy"] > 0.75 and rows["real_bootstrap"]["accuracy"] > 0.65
        for control in ("real_shuffled", "synthetic_shuffled"):
            # Chance is 1 in 10; the interval is for the draw of test images alone, so that training's luck needs some room.
            assert rows[control]["accuracy_low"] < 0.12 and rows[control]["accuracy"] < 0.2, rows[control]
        assert rows["real_shuffled"]["difference_high"] < -0.4

    def test_an_untrained_generator_teaches_nothing_though_its_own_images_are_told(self, rows):
        """Each class has its own initial weights, which a classifier reads on held-out images: the fingerprint, and nothing else."""
        assert rows["untrained"]["accuracy"] < 0.3
        assert rows["untrained"]["holdout_accuracy"] > 0.9 and rows["untrained"]["holdout_gap"] > 0.6

    def test_numbers_of_images(self, rows):
        assert {name: (row["n_real"], row["n_synthetic"]) for name, row in rows.items() if row["n_synthetic"]} == {
            **{name: (0, 150) for name in params.SYNTHETIC_SOURCES},
            "mixed": (120, 150),
            "synthetic_equal": (0, 120),
            "synthetic_5": (0, 50),
            "synthetic_20": (0, 200),
        }

    def test_a_frame_of_the_background_tells_less_than_the_image(self, rows):
        assert rows["real_background"]["accuracy"] < rows["real"]["accuracy"] - 0.2
        assert rows["real_blurred"]["view"] == "blurred" and rows["real_blurred"]["accuracy"] > 0.6

    def test_differences_are_those_of_the_accuracies(self, rows):
        for row in rows.values():
            assert row["difference"] == pytest.approx(row["accuracy"] - rows["real"]["accuracy"])
        assert rows["real"]["difference"] == 0

    def test_weak_classifiers_stand_beside(self, rows):
        real = rows["real"]
        assert 0.6 < real["accuracy_nearest_neighbour"] <= 1 and 0.4 < real["accuracy_linear"] <= 1
        assert (
            rows["real_shuffled"]["accuracy_nearest_neighbour"] < 0.3 and rows["real_shuffled"]["accuracy_linear"] < 0.3
        )
        assert all("accuracy_nearest_neighbour" in row for row in rows.values())

    def test_the_report_shows_them(self, everything):
        with (everything.reports / "results.csv").open() as file:
            written = [row["source"] for row in csv.DictReader(file)]
        assert written[:3] == ["real", "synthetic", "mixed"] and written[-2:] == ["synthetic_5", "synthetic_20"]
        page = (everything.reports / "index.html").read_text()
        assert "How many minted images" in page and "real_bootstrap" in page


class TestPools:
    def test_classical_augmentation_is_the_reports(self, params, workspace):
        own = sources.real_source("real_augmented", workspace, BASELINE, params.classifier).augmentation
        assert (own.rotation, own.shift, own.noise, own.blur) == (30.0, 0.1, 0.0, 0.0)

    def test_as_many_as_real_ones_of_all_classes(self, workspace, params):
        pool = synthetic_source("synthetic", workspace, ARM, params.classifier).pools[0]
        assert np.bincount(thinned(pool, 97, 0).labels).min() >= 9 and len(thinned(pool, 97, 0).labels) == 97

    def test_fresh_images_come_with_every_epoch_and_are_never_those_before(self, params, workspace):
        pool = synthetic_source("synthetic_fresh", workspace, ARM, params.classifier).pools[0]
        asked = []

        class Watched:
            def draw(self, epoch):
                asked.append(epoch)
                return pool.renewal.draw(epoch)

        recipe = replace(params.classifier, steps=40, batch_size=16, evaluations=1)
        watched = replace(pool, renewal=Watched())
        fit.fit(fit.Job("synthetic_fresh", [watched], 10, recipe, 0, workspace.raw), CPU)
        # 135 images are left to train on: 40 batches of 16 pass over them 4 times.
        assert asked == [1, 2, 3, 4]
        (first, labels), (second, _) = (FreshSamples(workspace.generator(ARM), 15, 0).draw(epoch) for epoch in (1, 2))
        assert np.bincount(labels).tolist() == [15] * 10
        everything = [image.tobytes() for image in np.concatenate([pool.images, first, second])]
        assert len(set(everything)) == len(everything)

    def test_untrained_generators_make_no_two_images_alike_and_are_not_the_trained_ones(self, workspace):
        trained = generators.load(workspace.generator(ARM))
        blank = untrained(trained, 0)
        assert blank.weights.keys() == trained.weights.keys()
        name = next(name for name in blank.weights if name.endswith("weight"))
        assert not np.allclose(blank.weights[name], trained.weights[name])
        assert not np.allclose(blank.weights[name][0], blank.weights[name][1])

    def test_epochs_in_place_of_steps(self, params, workspace):
        pool = sources.real_pool(workspace, BASELINE)
        job = fit.Job("real", [pool], 10, replace(params.classifier, epochs=3, batch_size=16), 0, workspace.raw)
        assert job.steps == 23  # 3 x 120 / 16, rounded up
        assert fit.fit(job, CPU).evaluations[-1]["step"] == 23


class TestParams:
    def test_a_source_that_is_not_there_is_refused_with_the_nearest(self, params):
        with pytest.raises(ValueError, match="did you mean 'synthetic_equal'"):
            replace(params.classifier, sources=["real", "synthetic_equals"])

    def test_all_is_compared_with_real(self, params):
        with pytest.raises(ValueError, match="must name real"):
            replace(params.classifier, sources=["synthetic"])

    def test_views_are_named_as_they_are(self):
        assert tuple(views.VIEWS) == params.VIEWS


class TestViews:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8)

    def test_a_flat_image_has_no_residual(self):
        assert (views.residual(np.full((1, 3, 8, 8), 77, np.uint8)) == 128).all()

    def test_a_residual_is_four_times_what_stands_out_of_nine(self):
        image = np.full((1, 1, 7, 7), 40, np.uint8)
        image[0, 0, 3, 3] = 49  # 9 over its surroundings, so 1 over and 8 under their mean of nine
        found = views.residual(image)[0, 0]
        assert found[3, 3] == 128 + 4 * 8 and found[2, 3] == 128 - 4 and found[0, 0] == 128

    def test_of_the_background_a_frame_is_left(self):
        framed = views.background(self.images)
        assert (framed[..., 2:14, 2:14] == 128).all()
        assert (framed[..., :2, :] == self.images[..., :2, :]).all() and (
            framed[..., 14:] == self.images[..., 14:]
        ).all()

    def test_blur_keeps_the_sum_of_a_point(self):
        image = np.zeros((1, 1, 9, 9), np.uint8)
        image[0, 0, 4, 4] = 250
        blurred = views.blurred(image)
        assert blurred.sum() == pytest.approx(250, abs=8) and blurred[0, 0, 4, 4] == round(250 * 0.4026**2)

    def test_eight_levels(self):
        assert set(np.unique(views.requantized(self.images))) == {16, 48, 80, 112, 144, 176, 208, 240}

    def test_noise_is_the_same_each_time(self):
        grey = np.full((50, 1, 16, 16), 128, np.uint8)
        assert (views.noised(grey) == views.noised(grey)).all() and views.noised(grey).std() == pytest.approx(
            16, abs=0.3
        )


class TestNearestNeighbour:
    def test_agrees_with_scikit_learn(self, workspace, monkeypatch):
        from sklearn.neighbors import KNeighborsClassifier

        (images, labels), (test, _) = load_set(workspace.tensors), load_set(workspace.test_tensors)
        monkeypatch.setattr(nearest_neighbour, "_TEST_CHUNK", 50)
        monkeypatch.setattr(nearest_neighbour, "_TRAINING_CHUNK", 37)
        library = KNeighborsClassifier(1).fit(np.asarray(images).reshape(len(images), -1), labels)
        assert (nearest_neighbour.classify(test, images, labels) == library.predict(np.asarray(test).reshape(len(test), -1))).all()  # fmt: skip

    def test_hands_on_all_attributes(self):
        images = np.array([0, 200], np.uint8).reshape(2, 1, 1, 1)
        told = nearest_neighbour.classify(np.array([[[[190]]]], np.uint8), images, np.array([[0, 1], [1, 0.0]]))
        assert told.tolist() == [[1, 0]]


class TestPaired:
    def test_by_hand(self):
        """Agresti and Min 2005: of 100 pairs 10 better and 4 worse; with half an observation more in each cell."""
        right, reference = np.ones(100), np.ones(100)
        reference[:10], right[10:14] = 0, 0
        mean, low, high = paired(right, reference)
        centre = 6 / 102
        half = 1.959964 * np.sqrt((15 / 102 - centre**2) / 102)
        assert (mean, low, high) == pytest.approx((0.06, centre - half, centre + half), abs=1e-6)

    def test_two_that_never_differ_are_not_beyond_doubt(self):
        mean, low, high = paired(np.ones(50), np.ones(50))
        assert mean == 0 and low < 0 < high

    def test_holds_the_truth_nineteen_times_in_twenty(self):
        rng, held = np.random.default_rng(0), 0
        for _ in range(2000):
            common = rng.random(200) < 0.8
            first, second = (np.where(rng.random(200) < 0.1, ~common, common) for _ in range(2))
            _, low, high = paired(first, second)
            held += low <= 0 <= high
        assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_a_row_keeps_its_classifiers_facts(everything):
    facts = archive.load(everything.classifiers(ARM))
    assert facts["synthetic_residual"]["view"] == "residual" and facts["synthetic_residual-linear"]["simple_classifier"]
