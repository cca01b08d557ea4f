"""Which reading a tree gets, without a word of the user and with one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.reading import Choice, Reading, UnclearError
from labelmint.data.source import SPLITS
from labelmint.runtime.errors import InputError
from tests.image_trees import in_memory

WHERE = Path("photos")


def files(*folders: str, count: int = 3, ending: str = ".png") -> list[str]:
    """Names of `count` files in each folder."""
    return [f"{folder}/{number}{ending}" for folder in folders for number in range(count)]


def read(names: list[str], choice: Choice | None = None, folders: tuple[str, ...] = ()) -> Reading:
    return read_tree(in_memory(names, folders), WHERE, choice or Choice())


def counts(reading: Reading) -> dict[str, int]:
    """Images by class, or by split/class."""
    return dict(
        Counter(
            entry.label if entry.split is None else f"{SPLITS[entry.split]}/{entry.label}"
            for entry in reading.entries
        )
    )


SPLIT_CLASSES = {"train/a": 3, "train/b": 3, "test/a": 3, "test/b": 3}
NO_LABELS = "no class folders in it, so no labels"


@pytest.mark.parametrize(
    ("names", "found", "left_out"),
    [
        (files("a", "b"), {"a": 3, "b": 3}, []),
        (files("2", "10", "x/y")[:6] + ["notes.txt"], {"2": 3, "10": 3}, ["1 file .txt: not images"]),
        (files("p/q/a", "p/q/b"), {"a": 3, "b": 3}, []),
        (files("a/images", "b/images"), {"a": 3, "b": 3}, []),
        (files("train/a", "train/b"), {"train/a": 3, "train/b": 3}, []),
        (files("d/training_set/a", "d/training_set/b", "d/test_set/a", "d/test_set/b"), SPLIT_CLASSES, []),
        (files("train/a", "train/b", "eval/a", "eval/b"), SPLIT_CLASSES, []),
        (
            files("train/a", "train/b", "test"),
            {"train/a": 3, "train/b": 3},
            [f"3 images in test/: {NO_LABELS}"],
        ),
        (
            files("train/a", "train/b", "valid/a", "valid/b", "test/unknown"),
            {"train/a": 3, "train/b": 3, "validation/a": 3, "validation/b": 3},
            [f"3 images in test/: {NO_LABELS}"],
        ),
        (
            files("seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a")
            + files("seg_test/seg_test/b", "seg_pred/seg_pred"),
            SPLIT_CLASSES,
            ["3 images in seg_pred/: its name says that it has no labels"],
        ),
        (
            files("train/a", "train/b") + files("test/a", count=1),
            {"train/a": 3, "train/b": 3, "test/a": 1},
            [],
        ),
    ],
)
def test_a_tree_with_one_reading_is_taken(names, found, left_out):
    reading = read(names)
    assert (counts(reading), reading.left_out) == (found, left_out)


@pytest.mark.parametrize(
    ("names", "problem", "choices"),
    [
        ([*files("a", "b"), "x.png"], "x.png outside of a class folder", ["classes"]),
        (files("train", "test", "cat"), "test/, train/ named as a split, beside cat/", ["classes"]),
        (files("train", "plane", "car"), "train/ named as a split, beside car/, plane/", ["classes"]),
        (files("test", "cat", "dog"), "test/ named as a split, beside cat/, dog/", ["classes"]),
        (
            files("train/a", "train/b", "extra"),
            "train/ named as a split, beside extra/",
            ["splits", "classes", "innermost"],
        ),
        ([*files("train/a", "train/b"), "x.png"], "x.png beside the splits train/", ["splits", "classes"]),
        (
            files("train/a", "train/b", "train", count=2),
            "train/0.png, train/1.png outside of a class folder; put each image into",
            ["splits", "classes"],
        ),
        (files("train/a", "train/train"), "class train is named as a split", ["splits", "classes"]),
        (
            files("train/a", "train/b", "training/a", "training/b"),
            "train/ and training/ are both named as the train set",
            ["splits", "classes"],
        ),
        (
            files("a", "b/c"),
            "folders below class folders: is b/c/0.png of class b or c?",
            ["classes", "innermost"],
        ),
        (files("x/a", "x/b", "y/a", "y/b"), "is x/a/0.png of class x or a?", ["classes", "innermost"]),
        (
            files("c/train/a", "c/train/b", "c/c/train/a", "c/c/train/b"),
            "c/c/ has the same files as what is beside it",
            ["splits", "classes", "innermost"],
        ),
        (
            files("a/train", "a/test", "b/train"),
            "a split (test, train) are below class",
            ["classes", "innermost"],
        ),
        (files("a/train", "b/train"), "named as a split (train) are below class folders", ["classes"]),
        (files("a", "b", "all/a", "all/b"), "all/ has the same files as what", ["classes", "innermost"]),
    ],
)
def test_a_tree_with_several_readings_is_asked_about(names, problem, choices):
    with pytest.raises(UnclearError) as error:
        read(names)
    assert str(error.value).startswith("photos: ")
    assert problem in str(error.value)
    assert all(f"--layout {layout}" in str(error.value) for layout in choices)
    for proposal in error.value.proposals:
        assert read(names, proposal.choice).summary == proposal.summary
    layouts = [proposal.choice.layout for proposal in error.value.proposals]
    assert layouts[0] == choices[0]
    assert set(layouts) <= set(choices)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no images in it"),
        (["notes.txt"], "no images in it .*; it has 1 file .txt: not images"),
        (["1.png", "2.png"], "1.png, 2.png outside of a class folder; put each image into"),
        (files("only"), "'only' is the only class, and a classifier needs two"),
        (
            files("images/train", "images/val"),
            r"no class folders in images/train/ \(a data set for detection",
        ),
        (files("train", "test"), "no class folders in train/"),
        (files("test/a", "test/b"), "test/, but no training set; name it with --split train=FOLDER"),
        (files("a", "b", "A"), "classes A, a differ in case only"),
        (files("train/a", "train/b", "test/a", "test/c"), "class c has no training images"),
    ],
)
def test_a_tree_without_a_reading_is_refused(names, message):
    with pytest.raises(InputError, match=message) as error:
        read(names)
    assert not isinstance(error.value, UnclearError)
    assert "\n" not in str(error.value)


class TestEmptyClassFolders:
    def test_are_refused(self):
        with pytest.raises(InputError, match="no images in class folder bird; add images or remove"):
            read(files("cat", "dog"), folders=("bird",))

    def test_with_images_that_are_not_read_are_refused(self):
        with pytest.raises(InputError, match="no images in class folder bird"):
            read(files("cat", "dog") + files("bird", ending=".tga"))

    def test_with_other_files_or_hidden_ones_are_none(self):
        names = files("cat", "dog") + files("notes", ending=".txt")
        assert counts(read(names, folders=(".git",))) == {"cat": 3, "dog": 3}


@pytest.mark.parametrize(
    ("choice", "found", "left_out"),
    [
        (Choice("classes"), {"train": 6, "extra": 3, "cat": 3}, 1),
        (Choice("splits"), {"train/a": 3, "train/b": 3}, 7),
        (Choice("innermost"), {"a": 3, "b": 3, "extra": 3, "cat": 3}, 1),
        (
            Choice(split_folders=("train=train", "test=none")),
            "no images in the folder 'none' of --split; folders with images are cat, extra, train and 2 more",
            0,
        ),
        (Choice(split_folders=("train=train", "test=train/a")), "'train/a' of --split is within 'train'", 0),
        (Choice(split_folders=("train=train", "test=cat")), "no class folders in cat of --split", 0),
        (Choice(split_folders=("train=train",)), {"train/a": 3, "train/b": 3}, 7),
    ],
)
def test_a_choice_decides(choice, found, left_out):
    names = [*files("train/a", "train/b", "extra", "cat"), "x.png"]
    if isinstance(found, str):
        with pytest.raises(InputError, match=found):
            read(names, choice)
    else:
        reading = read(names, choice)
        assert counts(reading) == found
        assert len(names) - len(reading.entries) == left_out
        assert sum(int(text.split()[0]) for text in reading.left_out) == left_out


def test_thousands_of_classes_are_read():
    names = [f"class {label}/{number}.png" for label in range(3_000) for number in range(3)]
    reading = read(names)
    assert reading.classes == [f"class {label}" for label in range(3_000)]
    assert [names[entry.index] for entry in reading.entries] == names


def test_a_path_of_a_thousand_folders_is_read():
    deep = "/".join(["a"] * 1_000)
    assert read([f"{deep}/cat/1.png", f"{deep}/dog/1.png"]).classes == ["cat", "dog"]
