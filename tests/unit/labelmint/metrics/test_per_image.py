"""Correct predictions per image, as text."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelmint.metrics import per_image


@pytest.mark.parametrize(("images", "labels"), [(1, 1), (359, 1), (50, 3), (7, 40), (9, 300)])
def test_fractions_are_read_as_they_were_written(images, labels):
    counts = np.random.default_rng(0).integers(0, labels + 1, images)
    stored = json.loads(json.dumps(per_image.packed(counts / labels, labels)))
    assert per_image.unpacked(stored).tolist() == (counts / labels).tolist()


def test_ten_thousand_images_of_classes_take_less_than_two_kilobytes():
    assert len(json.dumps(per_image.packed(np.ones(10_000), 1))) < 2000


@pytest.mark.parametrize("bits", ["AAA", "A" * 4, "ÿÿÿÿ"])
def test_damaged_text_is_refused(bits):
    with pytest.raises(ValueError):  # noqa: PT011
        per_image.unpacked({"images": 100, "labels": 1, "bits": bits})
