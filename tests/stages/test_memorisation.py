"""Copies that a test plants are found, and new images are not accused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from pipeline.stage import entry, select
from stages.evaluate import diversity, memorisation
from stages.prepare.files import load_json
from stages.prepare.layout import Arm
from stages.prepare.tensors import load_set, save_set
from stages.prepare.tracker import NullTracker
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
        found = memorisation.neighbours(fresh, test, training)
        assert memorisation.share_near(found) == pytest.approx(0.01, abs=0.01)
        assert abs(memorisation.copying(fresh, test, training, found)["copying"]) < 2.5
        shares = memorisation.authenticity(found, training)
        assert shares["authentic"] == pytest.approx(shares["authentic_test"], abs=0.06)

    def test_noisy_copies_are_found(self, sets):
        training, test = sets
        copies = training[:800] + 0.01 * gaussian(800, 6, 3)
        found = memorisation.neighbours(copies, test, training)
        assert memorisation.share_near(found) > 0.99 and (found.places == np.arange(800)).all()
        assert memorisation.copying(copies, test, training, found)["copying"] < -10
        assert memorisation.authenticity(found, training)["authentic"] < 0.01

    def test_authenticity_agrees_with_the_definition_over_all_pairs(self):
        """Alaa et al. 2022, eq. 6, by SciPy's distances: of planted near copies some are not authentic."""
        training, test = gaussian(200, 4, 0), gaussian(80, 4, 1)
        minted = np.concatenate([gaussian(60, 4, 2), training[:20] + 0.05 * gaussian(20, 4, 3)])
        within = cdist(training, training) + np.diag(np.full(200, np.inf))
        found = memorisation.authenticity(memorisation.neighbours(minted, test, training), training)
        for name, images in (("authentic", minted), ("authentic_test", test)):
            apart = cdist(images, training)
            expected = np.mean([row.min() > within[row.argmin()].min() for row in apart])
            assert 0.1 < expected < 0.9 and found[name] == expected

    def test_underfitting_is_told_from_copying(self, sets):
        training, test = sets
        wide = 2 * gaussian(800, 6, 4)
        found = memorisation.neighbours(wide, test, training)
        assert memorisation.copying(wide, test, training, found)["copying"] > 10

    def test_the_statistic_within_one_cell_is_mann_whitneys(self):
        from scipy.stats import mannwhitneyu

        training, test, minted = gaussian(300, 3, 0), gaussian(60, 3, 1), gaussian(50, 3, 2)
        found = memorisation.neighbours(minted, test, training)
        z = memorisation.copying(minted, test, training, found)
        library = mannwhitneyu(found.minted, found.test, method="asymptotic", use_continuity=False)
        from scipy.stats import norm

        assert z["cells"] == 1 and 2 * norm.sf(abs(z["copying"])) == pytest.approx(library.pvalue, rel=1e-9)

    def test_cells_are_of_500_images(self, sets):
        training, test = sets
        fresh = gaussian(400, 6, 5)
        found = memorisation.neighbours(fresh, test, training)
        assert memorisation.copying(fresh, test, training, found)["cells"] == 2

    def test_exact_copies_are_counted_to_the_last_bit(self):
        training = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
        minted = training[[3, 3, 7]].copy()
        assert memorisation.exact_copies(minted, training) == 3
        minted[0, 0, 0, 0] ^= 1
        assert memorisation.exact_copies(minted, training) == 2


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


def test_planted_copies_are_found_by_the_stage_and_shown(params, workspace, tmp_path):
    """Every sixth minted image is a training image again; a further one is that but for one grey level."""
    arm, layout = Arm("dcgan", 100, 0), beside(workspace, tmp_path)
    (tmp_path / "data" / "classifiers").symlink_to(workspace.root / "data" / "classifiers")
    (tmp_path / "data" / "synthetic").unlink()
    images, labels = map(np.array, load_set(workspace.synthetic(arm)))
    training, known = load_set(workspace.tensors)
    for place in range(0, 150, 6):
        own = np.flatnonzero(known == labels[place])
        images[place] = training[own[place % len(own)]]
    images[1] = training[0] ^ 1
    layout.synthetic(arm).mkdir(parents=True)
    save_set(layout.synthetic(arm), images, labels)
    manifest = workspace.synthetic(arm) / "manifest.json"
    (layout.synthetic(arm) / "manifest.json").write_bytes(manifest.read_bytes())
    module = entry("evaluate")
    module.run(select(module.Params, params, arm), layout, NullTracker())

    content = load_json(layout.metrics(arm))
    found = next(row for row in content["rows"] if row["source"] == "synthetic")
    before = next(row for row in load_json(workspace.metrics(arm))["rows"] if row["source"] == "synthetic")
    assert (before["exact_copies"], found["exact_copies"]) == (0, 25)
    assert found["memorised"] >= 25 / 150 and found["memorised_pixels"] >= 25 / 150 > before["memorised_pixels"]
    closest = content["nearest"]["pixels"]["closest"]
    assert all(
        distance < 0.05 and (images[minted] == training[real]).mean() > 0.99 for minted, real, distance in closest
    )
