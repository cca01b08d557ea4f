from __future__ import annotations

from pathlib import Path

import pytest

from labelmint.data.reading.reading import Choice, Entry, class_names
from labelmint.runtime.errors import InputError


def entries(*labels: str, split: int | None = None) -> list[Entry]:
    return [Entry(split, label, "1.png", index) for index, label in enumerate(labels)]


class TestClassNames:
    @pytest.mark.parametrize(
        "names",
        [
            ["0", "1", "2", "10", "11"],
            ["class 2", "class 10", "class 10b", "class x"],
            ["1.5", "1.10", "007", "7a", "8"],
            ["Straße", "a b", "猫 と 犬"],
            ["9" * 150 + "8", "9" * 150 + "9"],
        ],
    )
    def test_are_in_natural_order(self, names):
        assert class_names(entries(*reversed(names)), Path("t")) == names

    @pytest.mark.parametrize("name", ["a/b", "a\\b", "..", " ", "\udce9", 201 * "a"])
    def test_that_no_folder_can_have_are_refused(self, name):
        with pytest.raises(InputError, match="cannot be a folder's name; rename it"):
            class_names(entries("cat", name), Path("t"))

    def test_without_training_images_are_refused(self):
        with pytest.raises(InputError, match="class eel has no training images"):
            class_names([*entries("cat", "dog", split=0), *entries("cat", "eel", split=2)], Path("t"))


def test_a_choice_is_written_as_flags():
    choice = Choice("innermost", ("train=a", "test=b"), "labels.csv:id,breed")
    assert str(choice) == "--layout innermost --split train=a,test=b --labels labels.csv:id,breed"
    assert choice.parts == [(0, "a"), (2, "b")]
