"""The registry of image sources: names, order, pools, and the images of each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from labelmint.classifiers.filtering import filtered
from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.sources import (
    SOURCES,
    arm_sources,
    baseline_sources,
    meanings,
    parse,
    position,
)
from labelmint.classifiers.views import VIEWS, view


class FakeSampler:
    """Images whose pixels are the seed."""

    def __init__(self, value: int = 0):
        self.value = value

    def sample(self, images_per_class, seed):
        labels = np.repeat(np.arange(10), images_per_class)
        return np.full((len(labels), 1, 16, 16), self.value, np.uint8), labels

    def untrained(self, seed):
        return FakeSampler(99)


@pytest.fixture
def inputs(pool, digits) -> Inputs:
    images, labels = digits
    return Inputs(pool.first_per_label(6, 0), 0, 0.25, (Pool.synthetic(255 - images, labels), FakeSampler()))


class TestNames:
    def test_the_main_sources_come_first(self):
        assert list(SOURCES)[:3] == ["real", "synthetic", "mixed"]

    def test_curve_and_sweep_come_last_by_their_numbers_of_images(self):
        last = ["real_5_percent", "real_20_percent", "synthetic_20", "synthetic_100"]
        assert sorted([*reversed(last), *reversed(SOURCES)], key=position) == [*SOURCES, *last]

    def test_a_number_of_images_is_parsed(self):
        assert parse("synthetic_1000").per_class == 1000
        assert parse("synthetic_1000").origin == "synthetic"
        assert parse("mixed") is SOURCES["mixed"]
        assert (parse("real_5_percent").percent, parse("real_5_percent").origin) == (5, "real")

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "synthetic_",
            "synthetic_0",
            "synthetic_-5",
            "real_100",
            "real_0_percent",
            "real_100_percent",
            "other",
        ],
    )
    def test_other_names_are_refused(self, name):
        with pytest.raises(ValueError, match=f"no image source '{name}'"):
            parse(name)

    def test_a_baseline_has_the_real_sources_in_the_order_of_results(self):
        names = ["mixed", "real_shuffled", "real_augmented", "synthetic", "real_distilled", "real"]
        assert [source.name for source in baseline_sources(names)] == [
            "real",
            "real_augmented",
            "real_shuffled",
        ]

    def test_an_arm_has_the_others_in_their_order_then_the_sweep(self):
        """A distilled one of real images needs the baseline, and so has to wait for it."""
        found = arm_sources(["mixed", "real", "real_distilled", "synthetic"], [20, 5])
        assert [source.name for source in found] == [
            *("mixed", "real_distilled", "synthetic", "synthetic_20", "synthetic_5")
        ]

    def test_every_source_is_documented_once(self):
        assert all(meanings().count(f"`{name}`") == 1 for name in SOURCES)

    def test_views_are_those_of_the_module(self):
        named = [
            source.view for source in SOURCES.values() if source.name.startswith("real_") and source.view
        ]
        assert named == list(VIEWS)


class TestPools:
    def test_a_baseline_has_no_synthetic_images(self, pool):
        with pytest.raises(ValueError, match="a baseline has no synthetic images"):
            SOURCES["synthetic"].pools(Inputs(pool, 0, 0.5))

    @pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.origin == "real"])
    def test_real_sources_need_the_real_images_only(self, name, pool):
        (made,) = SOURCES[name].pools(Inputs(pool, 0, 0.5))
        assert made.origin == "real"
        assert len(made) == len(pool)

    def test_mixed_has_the_fraction_of_the_settings(self, inputs):
        real, synthetic = SOURCES["mixed"].pools(inputs)
        assert (real.origin, real.fraction, len(real)) == ("real", 0.25, 60)
        assert (synthetic.origin, synthetic.fraction, len(synthetic)) == ("synthetic", 0.75, 120)

    def test_equal_has_as_many_images_as_the_real_ones(self, inputs):
        (pool,) = SOURCES["synthetic_equal"].pools(inputs)
        assert np.bincount(pool.labels).tolist() == [6] * 10

    def test_untrained_has_images_of_initial_weights(self, inputs):
        (pool,) = SOURCES["untrained"].pools(inputs)
        assert (pool.images == 99).all()
        assert np.bincount(pool.labels).tolist() == [12] * 10
        assert pool.indices is None

    @pytest.mark.parametrize(("count", "stored"), [(5, True), (12, True), (20, False)])
    def test_a_number_of_images_is_taken_from_the_stored_ones_or_sampled(self, inputs, count, stored):
        (pool,) = parse(f"synthetic_{count}").pools(inputs)
        assert np.bincount(pool.labels).tolist() == [count] * 10
        assert (pool.indices is not None) == stored

    def test_fresh_starts_with_the_stored_images(self, inputs):
        (pool,) = SOURCES["synthetic_fresh"].pools(inputs)
        assert np.array_equal(pool.images, inputs.synthetic.images)
        assert pool.renewal is not None
        assert pool.renewal.images_per_class == 12

    def test_filtered_images_are_those_that_the_baseline_recognizes(self, inputs):
        """Here those of class 3 are recognized if the sampler made them, the others if they are stored."""

        def confidence(images, labels):
            return np.where((images.max((1, 2, 3)) == 0) == (labels == 3), 0.9, 0.3)

        recognized = partial(filtered, confidence=confidence, threshold=0.5, seed=inputs.seed)
        chosen = replace(inputs, filter=recognized)
        (pool,) = SOURCES["synthetic_filtered"].pools(chosen)
        assert np.bincount(pool.labels).tolist() == [12] * 10
        assert (pool.images[pool.labels == 3] == 0).all()
        rest = inputs.synthetic.labels != 3
        assert np.array_equal(pool.images[pool.labels != 3], inputs.synthetic.images[rest])
        real, mixed = SOURCES["mixed_filtered"].pools(chosen)
        assert (real.fraction, len(real), mixed.fraction) == (0.25, 60, 0.75)
        assert np.array_equal(mixed.images, pool.images)

    def test_a_baseline_has_nothing_to_filter_by(self, inputs):
        with pytest.raises(ValueError, match="a baseline has no classifier to filter"):
            SOURCES["synthetic_filtered"].pools(inputs)

    def test_distilled_sources_have_the_images_of_those_they_are_named_after(self, inputs):
        for name in ("real", "synthetic", "mixed", "untrained"):
            assert SOURCES[f"{name}_distilled"].distilled and not SOURCES[name].distilled
            for own, plain in zip(
                SOURCES[f"{name}_distilled"].pools(inputs), SOURCES[name].pools(inputs), strict=True
            ):
                assert np.array_equal(own.images, plain.images) and own.fraction == plain.fraction

    def test_a_baseline_has_nothing_to_learn_from(self, inputs):
        with pytest.raises(ValueError, match="a baseline has no classifier to learn from"):
            _ = inputs.baseline

    def test_a_view_shows_all_images_in_it(self, inputs):
        (pool,) = SOURCES["synthetic_blurred"].pools(inputs)
        assert np.array_equal(pool.images, view("blurred", inputs.synthetic.images))


class TestSettings:
    def test_an_unknown_source_is_refused_with_the_most_similar(self):
        with pytest.raises(ValueError, match="did you mean 'synthetic_equal'"):
            Classifier(sources=["real", "synthetic_equals"])

    def test_the_reference_is_required(self):
        with pytest.raises(ValueError, match="must name real"):
            replace(Classifier(), sources=["synthetic"])


class TestLearningCurve:
    def test_a_point_has_the_images_of_the_arm_of_that_percent(self, digits):
        images, labels = digits
        part = partial(Pool.real, images, labels, seed=3)
        (own,) = parse("real_25_percent").pools(Inputs(part(40), 3, 0.5, part=part))
        arm = Pool.real(images, labels, 25, 3)
        assert np.array_equal(own.images, arm.images) and np.array_equal(own.labels, arm.labels)
        assert len(own) == 30

    def test_an_arm_has_no_points(self, digits):
        with pytest.raises(ValueError, match="only a baseline"):
            parse("real_25_percent").pools(Inputs(Pool.synthetic(*digits), 3, 0.5))

    def test_points_follow_the_other_sources_of_a_baseline(self):
        names = [source.name for source in baseline_sources(["real", "mixed"], [5, 20])]
        assert names == ["real", "real_5_percent", "real_20_percent"]
