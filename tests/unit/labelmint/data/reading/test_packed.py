"""The reading that a tar of `import` carries, and tars from before it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.packed import DESCRIPTION, describe, packed_names
from labelmint.data.reading.reading import Choice, Entry, Reading
from labelmint.runtime.errors import InputError
from tests.image_trees import in_memory

WHERE = Path("t.tar")


def repacked(reading: Reading) -> Reading:
    """Read what is packed of a reading."""
    tree = dict.fromkeys(packed_names(reading), b"") | {DESCRIPTION: describe(reading)}
    return read_tree(in_memory(tree), WHERE, Choice())


@pytest.mark.parametrize("split", [None, 0])
def test_any_reading_comes_back(split):
    """Also one whose classes are named as splits, hidden files or the description."""
    classes = ["train", "test", ".x", DESCRIPTION, "2", "10"]
    entries = [Entry(split, label, file, 0) for label in classes for file in ("1.png", "more/1")]
    reading = Reading("folders", classes, entries, ["1 file .txt: not images"])
    found = repacked(reading)
    assert (found.classes, found.labels, found.left_out) == (classes, reading.labels, reading.left_out)
    assert [(entry.split, entry.label, entry.file) for entry in found.entries] == [
        (entry.split, entry.label, entry.file) for entry in entries
    ]


def test_a_choice_cannot_change_a_stored_reading():
    reading = Reading("folders", ["a", "b"], [Entry(None, label, "1.png", 0) for label in "ab"], [])
    tree = dict.fromkeys(packed_names(reading), b"") | {DESCRIPTION: describe(reading)}
    with pytest.raises(InputError, match="stored how it is read; leave out --layout innermost"):
        read_tree(in_memory(tree), WHERE, Choice("innermost"))


def test_files_whose_names_would_be_equal_are_all_packed():
    entries = [Entry(None, label, file, 0) for label in "ab" for file in ("x/1.png", "x\\1.png", "x/1.png")]
    names = packed_names(Reading("", ["a", "b"], entries, []))
    assert names[:3] == ["a/x/1.png", "a/x/2-1.png", "a/x/3-1.png"]
    assert len(set(names)) == 6


class TestBeforeReadingsWereStored:
    def read(self, names: list[str]) -> Reading:
        return read_tree(in_memory(names), WHERE, Choice(), imported=True)

    def test_classes_keep_the_order_of_code_points(self):
        reading = self.read([f"{label}/1.png" for label in ("2", "10", "1")])
        assert (reading.classes, reading.class_order) == (["1", "10", "2"], "code points")

    def test_folders_named_as_splits_are_read_as_they_were(self):
        reading = self.read(["train/a/1.png", "train/b/1.png", "test/a/1.png"])
        assert [(entry.split, entry.label) for entry in reading.entries] == [(0, "a"), (0, "b"), (2, "a")]
        assert self.read(["train/a/1.png", "train/b/1.png", "test/1.png"]).classes == ["test", "train"]

    def test_another_archive_is_read_as_any_tree(self):
        assert self.read(["p/2/1.png", "p/10/1.png"]).classes == ["2", "10"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "labelmint.json cannot be read"),
        ({"splits": True}, "files that labelmint.json does not describe"),
        ({"classes": ["a", "c"]}, "files that labelmint.json does not describe"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(changes, message):
    content = {"version": 1, "labels": "", "splits": False, "classes": ["a", "b"], "left_out": []} | changes
    tree = {"a/1.png": b"", "b/1.png": b"", DESCRIPTION: json.dumps(content).encode()}
    with pytest.raises(InputError, match=message):
        read_tree(in_memory(tree), WHERE, Choice())
