"""Splitting a source, and what is refused of its labels and images."""

from __future__ import annotations

import numpy as np
import pytest

from labelmint.data.convert import Converted
from labelmint.data.manifest import mirrored_classes
from labelmint.data.preparation import check_bad_images, check_classes, split
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.data.stored_images import ArrayImages
from labelmint.runtime.errors import InputError


def grey_source(labels: np.ndarray, **changes) -> Source:
    """Black images with these labels."""
    images = ArrayImages(np.zeros((len(labels), 4, 4), np.uint8))
    classes = [str(number) for number in range(labels.max() + 1)]
    return Source("t", "l", classes, labels, images, **changes)


class TestSplit:
    source = grey_source(np.repeat(np.arange(3), [40, 20, 10]))

    def test_test_and_validation_images_are_drawn_from_each_class(self):
        parts = split(self.source, Dataset(test_percent=20, validation_percent=25))
        assert sorted(np.concatenate(parts)) == list(range(70))
        assert [np.bincount(self.source.labels[part]).tolist() for part in parts] == [
            [24, 12, 6],
            [8, 4, 2],
            [8, 4, 2],
        ]

    def test_the_sources_own_split_is_used(self):
        own = np.repeat([2, 0], [30, 40]).astype(np.uint8)
        train, validation, test = split(grey_source(self.source.labels, split=own), Dataset())
        assert train.tolist() == list(range(30, 70))
        assert test.tolist() == list(range(30))
        assert not len(validation)

    def test_images_per_class(self):
        train, _, test = split(self.source, Dataset(images_per_class=4))
        assert np.bincount(self.source.labels[train]).tolist() == [4] * 3
        assert np.bincount(self.source.labels[test]).tolist() == [4, 4, 2]


class TestClasses:
    @pytest.mark.parametrize(
        ("train", "test", "message"),
        [
            ([0, 0, 1, 1], [0, 1], "class c: fewer than 2 training"),
            ([0, 0, 1, 1, 2, 2], [0, 2], "class b: fewer than 1 test"),
            ([0, 0, 7], [0], "run from 0 to 7"),
        ],
    )
    def test_class_without_images_is_refused(self, train, test, message):
        with pytest.raises(InputError, match=message):
            check_classes(np.array(train), np.array(test), ["a", "b", "c"])

    def test_attribute_that_all_images_have_is_refused(self):
        train, test = np.array([[0, 1], [1, 1], [0, 1], [1, 1]]), np.array([[0, 1], [1, 0]])
        with pytest.raises(InputError, match="class Young: fewer than 2 training"):
            check_classes(train, test, ["Male", "Young"])

    def test_mirrored_classes(self):
        source = grey_source(np.arange(3))
        assert mirrored_classes(source, Dataset(mirror=["0", "2"])) == [True, False, True]
        assert mirrored_classes(source, Dataset(mirror="all")) == [True] * 3
        with pytest.raises(InputError, match="no class 'ten'; there are 0, 1, 2"):
            mirrored_classes(source, Dataset(mirror=["ten"]))


class TestBadImages:
    def converted(self, total: int, bad: int) -> list[Converted]:
        zeros = np.zeros(total, np.uint64)
        return [Converted(zeros, zeros, zeros, np.arange(total) >= bad, [("x.png", "empty file")] * bad)]

    def test_one_is_refused_or_skipped(self):
        source = grey_source(np.zeros(100, np.int64))
        with pytest.raises(InputError, match=r"1 of 100 images cannot be used \(x.png: empty file\); repair"):
            check_bad_images(source, self.converted(100, 1), "fail")
        assert check_bad_images(source, self.converted(100, 1), "skip") == [("x.png", "empty file")]
        assert check_bad_images(source, self.converted(100, 0), "fail") == []

    def test_up_to_three_of_few_can_be_left_out_and_1_percent_of_many(self):
        few, many = grey_source(np.zeros(20, np.int64)), grey_source(np.zeros(500, np.int64))
        assert len(check_bad_images(few, self.converted(20, 3), "skip")) == 3
        with pytest.raises(InputError, match="4 of 20 .* at most 3 can be left out"):
            check_bad_images(few, self.converted(20, 4), "skip")
        assert len(check_bad_images(many, self.converted(500, 5), "skip")) == 5
        with pytest.raises(InputError, match="6 of 500 .* at most 5 can be left out"):
            check_bad_images(many, self.converted(500, 6), "skip")

    def test_the_message_names_the_flag_of_the_command(self):
        with pytest.raises(InputError, match="or leave up to 3 out with --on-bad-image skip$"):
            check_bad_images(
                grey_source(np.zeros(9, np.int64)), self.converted(9, 1), "fail", "--on-bad-image skip"
            )
