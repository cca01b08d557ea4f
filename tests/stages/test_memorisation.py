"""Copies that a test plants are found, and new images are not accused."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from labelmint.data.storage.tensors import load_set, save_set
from labelmint.metrics import diversity, memorization
from labelmint.metrics.distances import nearest
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.stages.test_arms import beside


def gaussian(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, size))


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    """Training and test points of one Gaussian."""
    return gaussian(1200, 6, 0), gaussian(800, 6, 1)


class TestMeasures:
    def test_new_points_are_new(self, sets):
        training, test = sets
        fresh = gaussian(800, 6, 2)
        found = memorization.neighbours(fresh, test, training)
        assert memorization.fraction_near(found) == pytest.approx(0.01, abs=0.01)
        assert abs(memorization.copying(fresh, test, training, found)["copying"]) < 2.5
        shares = memorization.authenticity(found, training)
        assert shares["authentic"] == pytest.approx(shares["authentic_test"], abs=0.06)

    def test_noisy_copies_are_found(self, sets):
        training, test = sets
        copies = training[:800] + 0.01 * gaussian(800, 6, 3)
        found = memorization.neighbours(copies, test, training)
        assert memorization.fraction_near(found) > 0.99 and (found.places == np.arange(800)).all()
        assert memorization.copying(copies, test, training, found)["copying"] < -10
        assert memorization.authenticity(found, training)["authentic"] < 0.01

    def test_authenticity_agrees_with_the_definition_over_all_pairs(self):
        """Alaa et al. 2022, eq. 6, by SciPy's distances: of planted near copies some are not authentic."""
        training, test = gaussian(200, 4, 0), gaussian(80, 4, 1)
        minted = np.concatenate([gaussian(60, 4, 2), training[:20] + 0.05 * gaussian(20, 4, 3)])
        within = cdist(training, training) + np.diag(np.full(200, np.inf))
        found = memorization.authenticity(memorization.neighbours(minted, test, training), training)
        for name, images in (("authentic", minted), ("authentic_test", test)):
            apart = cdist(images, training)
            expected = np.mean([row.min() > within[row.argmin()].min() for row in apart])
            assert 0.1 < expected < 0.9 and found[name] == expected

    def test_underfitting_is_told_from_copying(self, sets):
        training, test = sets
        wide = 2 * gaussian(800, 6, 4)
        found = memorization.neighbours(wide, test, training)
        assert memorization.copying(wide, test, training, found)["copying"] > 10

    def test_the_statistic_within_one_cell_is_mann_whitneys(self):
        from scipy.stats import mannwhitneyu

        training, test, minted = gaussian(300, 3, 0), gaussian(60, 3, 1), gaussian(50, 3, 2)
        found = memorization.neighbours(minted, test, training)
        z = memorization.copying(minted, test, training, found)
        library = mannwhitneyu(found.minted, found.test, method="asymptotic", use_continuity=False)
        from scipy.stats import norm

        assert z["cells"] == 1 and 2 * norm.sf(abs(z["copying"])) == pytest.approx(library.pvalue, rel=1e-9)

    def test_cells_are_of_500_images(self, sets):
        training, test = sets
        fresh = gaussian(400, 6, 5)
        found = memorization.neighbours(fresh, test, training)
        assert memorization.copying(fresh, test, training, found)["cells"] == 2

    def test_exact_copies_are_counted_to_the_last_bit(self):
        images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
        training, minted = memorization.Training(images, np.arange(0)), images[[3, 3, 7]].copy()
        assert memorization.exact_copies(minted, training) == 3
        minted[0, 0, 0, 0] ^= 1
        assert memorization.exact_copies(minted, training) == 2


class TestDiversity:
    labels = np.repeat([0, 1], 200)

    def test_real_draws_are_as_diverse_as_real_ones(self):
        ratios = diversity.per_class((gaussian(400, 4, 0), self.labels), (gaussian(400, 4, 1), self.labels), 2, 5000)[0]
        assert ratios == pytest.approx([1, 1], abs=0.12)

    def test_a_class_of_narrow_modes_shows(self):
        narrow = gaussian(400, 4, 0)
        narrow[:200] = np.repeat(narrow[:10], 20, 0) + 0.01 * gaussian(200, 4, 2)
        ratios = diversity.per_class((narrow, self.labels), (gaussian(400, 4, 1), self.labels), 2, 5000)[0]
        assert ratios[0] < 0.05 and ratios[1] == pytest.approx(1, abs=0.12)

    def test_few_images_say_nothing(self):
        assert diversity.per_class((gaussian(9, 4, 0), np.zeros(9, int)), (gaussian(9, 4, 1), np.zeros(9, int)), 1, 100) == ([None], [9])  # fmt: skip


FLIPPABLE = (0, 8)


@pytest.fixture(scope="module")
def planted(params, workspace, tmp_path_factory) -> tuple[Paths, np.ndarray, np.ndarray]:
    """Two in three minted images are training images again, byte for byte; of them half of the zeros and eights, which training may
    flip, are mirrored. One three is a mirrored copy too, and one zero a copy but for one grey level. Evaluated, and reported.

    Returns: the workspace; the minted images; the planted copies, by place in them.
    """
    root = tmp_path_factory.mktemp("planted")
    arm, layout = Arm("dcgan", 100, 0), beside(workspace, root)
    (root / "data" / "classifiers").symlink_to(workspace.root / "data" / "classifiers")
    for stage in ("train_baselines", "train_classifiers"):
        (root / "data" / "timings" / stage).symlink_to(workspace.root / "data" / "timings" / stage)
    (root / "data" / "synthetic").unlink()
    layout.tensors.unlink()
    layout.tensors.mkdir()
    for path in workspace.tensors.iterdir():
        if path.suffix == ".json" and "mirror" in (facts := load_json(path)):
            save_json(layout.tensors / path.name, facts | {"mirror": [digit in FLIPPABLE for digit in range(10)]})
        else:
            (layout.tensors / path.name).symlink_to(path)

    images, labels = map(np.array, load_set(workspace.synthetic(arm)))
    training, known = load_set(workspace.tensors)
    copies = np.flatnonzero(np.arange(len(images)) % 3 < 2)
    for place in copies:
        own = np.flatnonzero(known == labels[place])
        images[place] = training[own[place % len(own)]]
    mirrored = copies[np.isin(labels[copies], FLIPPABLE) & (copies % 3 == 1)]
    images[mirrored] = images[mirrored][..., ::-1]
    images[2] = training[np.flatnonzero(known == 0)[0]] ^ 1
    three = np.flatnonzero(labels == 3)
    images[three[three % 3 == 2][0]] = training[np.flatnonzero(known == 3)[0]][..., ::-1]
    layout.synthetic(arm).mkdir(parents=True)
    save_set(layout.synthetic(arm), images, labels)
    manifest = workspace.synthetic(arm) / "manifest.json"
    (layout.synthetic(arm) / "manifest.json").write_bytes(manifest.read_bytes())
    for name, of in (("evaluate", arm), ("report", None)):
        module = entry(name)
        module.run(select(module.Params, replace(params, percents=[100]), of), layout, NullTracker())
    return layout, images, copies


def of_minted(layout: Paths) -> dict:
    return next(row for row in load_json(layout.metrics(Arm("dcgan", 100, 0)))["rows"] if row["source"] == "synthetic")


class TestPlantedCopies:
    def test_are_counted_and_move_every_measure(self, workspace, planted):
        """AuthPct's ceiling is the third that is no copy; two in three nearer than any test image make C_T about -5."""
        layout, images, copies = planted
        before, found = of_minted(workspace), of_minted(layout)
        share = len(copies) / len(images)
        assert (before["exact_copies"], found["exact_copies"]) == (0, len(copies)) and share == 2 / 3
        for name in ("memorised", "memorised_pixels"):
            assert before[name] < 0.5 < share <= found[name], name
        assert found["authentic"] <= 1 - share < before["authentic"]
        assert found["copying"] < -3 < before["copying"]

    def test_the_nearest_is_the_image_itself_or_its_mirror_image(self, workspace, planted):
        layout, images, copies = planted
        training, known = load_set(workspace.tensors)
        closest = load_json(layout.metrics(Arm("dcgan", 100, 0)))["nearest"]["pixels"]["closest"]
        for minted, real, distance, mirrored in closest:
            shown = training[real][..., ::-1] if mirrored else training[real]
            assert distance < 0.05 and minted in copies and np.array_equal(images[minted], shown)
            assert not mirrored or known[real] in FLIPPABLE
        assert {mirrored for *_, mirrored in closest} == {0, 1}

    def test_are_on_the_page(self, planted):
        """In the table, and as pairs that look the same twice."""
        layout, _, copies = planted
        page = (layout.reports / "index.html").read_text()
        assert re.search(rf'class="name">dcgan-100-0</th><td>{len(copies)}</td><td>\d', page)
        assert "or the mirror image of one that training may flip" in page
        found = re.search(r'<img src="data:image/png;base64,([^"]+)"[^>]*alt="Minted images and the nearest training images, closest, in pixels"', page)  # fmt: skip
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
        assert sheet.shape[0] == 2 * 16 + 1 and np.array_equal(sheet[:16], sheet[17:]) and sheet.std() > 20


class TestMirrorImages:
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 6, 6), dtype=np.uint8)
    training = memorization.Training(images, np.arange(0, 40, 2))

    @staticmethod
    def features(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(float) / 255

    def test_of_images_that_may_be_flipped_only_are_copies(self):
        minted = self.images[[4, 5, 6]][..., ::-1]
        assert memorization.exact_copies(minted, self.training) == 2
        distances, places = self.training.nearest_in_pixels(minted)
        assert distances[[0, 2]] == pytest.approx([0, 0], abs=1e-3) and distances[1] > 100
        assert [self.training.origin(int(places[at])) for at in (0, 2)] == [(4, True), (6, True)]

    @pytest.mark.parametrize("flipped", [np.arange(0, 40, 2), np.arange(40), np.arange(0)])
    def test_flipping_the_few_or_the_many_is_the_same(self, flipped):
        training = memorization.Training(self.images, flipped)
        asked = np.random.default_rng(1).integers(0, 256, (9, 1, 6, 6), dtype=np.uint8)
        points = training.points(self.features(self.images), self.features)
        assert points.shape == (40 + len(flipped), 36)
        distances, places = nearest(self.features(asked), points)
        own = training.nearest_in_pixels(asked)
        assert own[0] / 255 == pytest.approx(distances) and own[1].tolist() == places.tolist()

    def test_an_image_is_not_spaced_by_its_own_mirror_image(self):
        """Nearly symmetric images: each one's mirror image is nearer than any other image, and tells nothing of how dense they lie."""
        rng = np.random.default_rng(0)
        symmetric = rng.normal(0, 1, (30, 4))
        plain, flipped = symmetric, symmetric + 1e-3
        training = memorization.Training(np.zeros((30, 1, 2, 2), np.uint8), np.arange(30))
        points, test, minted = np.concatenate([plain, flipped]), rng.normal(0, 1, (50, 4)), symmetric[:10] + 0.05
        found = memorization.neighbours(minted, test, points)
        assert memorization.authenticity(found, points)["authentic"] == 1
        apart = memorization.authenticity(found, points, training.partners)
        assert apart["authentic"] == 0 and 0 < apart["authentic_test"] < 1
