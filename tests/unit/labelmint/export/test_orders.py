"""Labels and latent seeds of the images of an order."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.export.orders import Order, Plan, sample_rows
from labelmint.gans.sampling import sample_images
from labelmint.runtime.errors import InputError
from tests.untrained_generators import FAMILY_OF, untrained


def sample(label_type: str, order: Order) -> tuple[np.ndarray, np.ndarray]:
    generator = untrained(label_type)
    plan = Plan(generator, order)
    return sample_rows(generator, plan, plan.rows(0, plan.total))


@pytest.mark.parametrize("label_type", ["per_class", "conditional"])
def test_images_of_a_class_do_not_depend_on_the_other_classes(label_type):
    images, labels = sample(label_type, Order(5))
    dogs, dog_labels = sample(label_type, Order(5, ("dog",)))
    assert dog_labels.tolist() == [1] * 5
    # Another batch size may round differently.
    assert np.abs(dogs.astype(int) - images[labels == 1]).max() <= 1


@pytest.mark.parametrize("label_type", FAMILY_OF)
def test_another_seed_gives_other_images(label_type):
    first, second = (sample(label_type, Order(8, seed=seed))[0] for seed in (0, 1))
    assert not any(np.array_equal(a, b) for a in first for b in second)


@pytest.mark.parametrize("label_type", FAMILY_OF)
def test_a_wider_order_has_the_wider_images_of_its_seeds(label_type):
    generator = untrained(label_type)
    plan = Plan(generator, Order(3, latent_deviation=2.0))
    rows = plan.rows(0, 1)
    requested = plan.vectors[rows.title_indices]
    expected, _ = sample_images(generator, 0, rows.seeds, requested, latent_deviation=2.0)
    assert np.array_equal(sample_rows(generator, plan, rows)[0], expected)


@pytest.mark.parametrize("label_type", FAMILY_OF)
def test_every_image_has_its_own_latent(label_type):
    plan = Plan(untrained(label_type), Order(500))
    assert len(np.unique(plan.rows(0, plan.total).seeds)) == plan.total


def test_rows_depend_on_their_numbers_only():
    plan = Plan(untrained("multi_hot"), Order(50))
    whole, part = plan.rows(0, 50), plan.rows(20, 30)
    assert np.array_equal(part.seeds, whole.seeds[20:30])
    assert np.array_equal(part.title_indices, whole.title_indices[20:30])


def test_patterns_have_the_frequencies_of_the_real_images():
    """Half of the real images are Smiling+Young."""
    plan = Plan(untrained("multi_hot"), Order(10_000))
    indices = plan.rows(0, 10_000).title_indices
    counts = {title: int((indices == index).sum()) for index, title in enumerate(plan.titles)}
    assert counts == pytest.approx({"none of them": 2500, "Smiling+Young": 5000, "Male": 2500}, abs=3)


def test_a_pattern_without_real_images_can_be_requested():
    _, labels = sample("multi_hot", Order(3, ("Male+Young", "none of them")))
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0]] * 3


@pytest.mark.parametrize(
    ("label_type", "arguments", "message"),
    [
        ("per_class", (1, ("dgo",)), "no class 'dgo'; did you mean 'dog'?; there are cat, dog"),
        ("multi_hot", (1, ("Male+Smilin",)), "no attribute 'Smilin'; did you mean 'Smiling'?"),
        ("none", (1, ("cat",)), "was trained without labels"),
        ("per_class", (0,), "--count must be at least 1"),
        ("per_class", (1, ("cat", "cat")), "names one twice"),
        ("per_class", (1, (), -1), "--seed must be"),
        ("per_class", (1, (), 0, 3.5), "--latent-deviation must be above 0 and at most 3, got 3.5"),
        ("per_class", (1, (), 0, 0.0), "--latent-deviation must be above 0"),
    ],
)
def test_invalid_orders_are_refused(label_type, arguments, message):
    with pytest.raises(InputError) as raised:
        Plan(untrained(label_type), Order(*arguments))
    assert message in str(raised.value)
