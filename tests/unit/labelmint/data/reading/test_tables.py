"""Labels from tables in a tree, or beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.reading import Choice, Reading, UnclearError
from labelmint.runtime.errors import InputError
from tests.image_trees import Tree, in_memory

WHERE = Path("photos")
NAMES = [f"images/{number}.jpg" for number in range(6)]
BREEDS = ["cat", "dog", "cat", "dog", "cat", "dog"]


def table(head: str, rows: list[str]) -> bytes:
    return "\n".join([head, *rows]).encode()


def images(names: list[str] = NAMES) -> Tree:
    return dict.fromkeys(names, b"")


def read(tree: Tree, labels: str | None = None, **choice: object) -> Reading:
    return read_tree(in_memory(tree), WHERE, Choice(labels=labels, **choice))  # type: ignore[arg-type]


def labels_of(reading: Reading) -> dict[int, str]:
    return {entry.index: entry.label for entry in reading.entries}


EXPECTED = dict(enumerate(BREEDS))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", table("id,breed", [f"{i},{b}" for i, b in enumerate(BREEDS)])),
        ("labels.csv", table("id;breed", [f"{i};{b}" for i, b in enumerate(BREEDS)])),
        ("labels.tsv", table("id\tbreed", [f"{i}\t{b}" for i, b in enumerate(BREEDS)])),
        ("images/metadata.csv", table("file_name,label", [f"{i}.jpg,{b}" for i, b in enumerate(BREEDS)])),
        ("l.csv", b"\xef\xbb\xbf" + table("a,file,label", [f"3,{i}.jpg,{b}" for i, b in enumerate(BREEDS)])),
        (
            "metadata.jsonl",
            "\n".join(
                json.dumps({"file_name": f"images/{i}.jpg", "label": b}) for i, b in enumerate(BREEDS)
            ).encode(),
        ),
    ],
)  # fmt: skip
def test_the_one_table_that_names_the_images_is_found(name, content):
    reading = read(images() | {name: content})
    assert labels_of(reading) == EXPECTED
    assert (reading.classes, reading.left_out) == (["cat", "dog"], [])


def test_a_table_in_each_split():
    tree = images([f"{part}/{i}.png" for part in ("train", "test") for i in range(4)])
    for part in ("train", "test"):
        tree[f"{part}/metadata.csv"] = table("file_name,label", [f"{i}.png,{'ab'[i % 2]}" for i in range(4)])
    reading = read(tree)
    assert [(entry.split, entry.label) for entry in reading.entries] == [
        (split, label) for split in (0, 2) for label in "aabb"
    ]


def test_images_without_a_label_are_left_out_and_rows_without_an_image_counted():
    rows = ["0,cat", "1,dog", "2,cat", "3,dog", "4,", "99,dog"]
    reading = read(images() | {"labels.csv": table("id,breed", rows)})
    assert labels_of(reading) == {0: "cat", 1: "dog", 2: "cat", 3: "dog"}
    assert reading.labels == "labels.csv:id,breed; 1 row without an image"
    assert reading.left_out == ["2 images without a label: not in labels.csv:id,breed"]


def test_the_user_names_a_table_and_its_columns(tmp_path, monkeypatch):
    rows = [f"{number},{breed},{number % 3}" for number, breed in enumerate(BREEDS)]
    (tmp_path / "own.csv").write_bytes(table("id,breed,age", rows))
    monkeypatch.chdir(tmp_path)
    assert labels_of(read(images(), "own.csv:id,breed")) == EXPECTED
    tree = images() | {"labels.csv": table("id,breed,age", rows)}
    assert labels_of(read(tree, "labels.csv:id,breed")) == EXPECTED
    assert read(tree, "labels.csv:id,age").classes == ["0", "1", "2"]


def test_splits_of_labelled_images():
    names = [*[f"a/{number}.png" for number in range(4)], *[f"b/{number + 4}.png" for number in range(4)]]
    rows = [f"{number},{'xy'[number % 2]}" for number in range(8)]
    tree = images(names) | {"l.csv": table("id,label", rows)}
    assert read(tree, "l.csv").has_splits is False
    reading = read(tree, "l.csv", split_folders=("train=a", "test=b"))
    assert [entry.split for entry in reading.entries] == [0] * 4 + [2] * 4
    reading = read(tree, "l.csv", split_folders=("train=a",))
    assert reading.left_out == ["4 images with a label: not in the folders of --split"]


@pytest.mark.parametrize(
    ("content", "labels", "message"),
    [
        (table("id,breed,age", ["0,a,1", "1,b,2"]), None, "which column of l.csv has the labels, breed"),
        (table("id,partition", ["0,0", "1,1"]), None, "column 'partition' of l.csv says splits by its name"),
        (table("id,breed", ["0,a", "1,b"]), "l.csv:id,bred", "no column 'bred'; did you mean 'breed'?"),
        (table("id,breed", ["0,a", "1,b"]), "k.csv", "--labels k.csv is neither in it nor a file"),
        (table("id,breed", ["0,a", "0,b"]), "l.csv", "l.csv labels '0' as 'a' and as 'b'; an image"),
        (table("id,breed", ["x,a", "y,b"]), "l.csv", "column 'id' of l.csv names an image in 0 of 2 rows"),
        (table("id,breed", ["0,a/b", "1,b"]), "l.csv", "class 'a/b' cannot be a folder's name"),
        (table("id,breed", ["0,a", "1,a"]), "l.csv", "'a' is the only class"),
        (table("id,breed", []), "l.csv", "l.csv has no rows"),
        ("id,breed\n0,caf\u00e9".encode("latin-1"), "l.csv", "l.csv cannot be read .*save it as UTF-8"),
        (b'id,breed\n0,"a', "l.csv", "l.csv cannot be read as a table"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused(content, labels, message):
    with pytest.raises(InputError, match=message) as error:
        read(images() | {"l.csv": content}, labels)
    assert "\n" not in str(error.value)


def test_a_name_that_several_images_have_is_refused():
    tree = images(["a/0.png", "b/0.png", "a/1.png"]) | {"l.csv": table("id,label", ["0,x", "1,y"])}
    with pytest.raises(InputError, match="'0' of the table may be a/0.png, b/0.png; give the paths"):
        read(tree, "l.csv")


class TestBesideClassFolders:
    tree = images([f"{breed}/{number}.png" for number, breed in enumerate(BREEDS)])

    def test_a_table_that_says_the_same_is_no_question(self):
        rows = [f"{number},{'C' if breed == 'cat' else 'D'}" for number, breed in enumerate(BREEDS)]
        assert labels_of(read(self.tree | {"l.csv": table("id,code", rows)})) == EXPECTED

    def test_a_table_with_other_classes_is_one(self):
        rows = [f"{number},{'xy'[number // 3]}" for number in range(6)]
        tree = self.tree | {"l.csv": table("id,sex", rows)}
        with pytest.raises(UnclearError, match="a table gives other classes than the folders") as error:
            read(tree)
        by_folders, by_table = [proposal.choice for proposal in error.value.proposals]
        assert read_tree(in_memory(tree), WHERE, by_folders).classes == ["cat", "dog"]
        assert read_tree(in_memory(tree), WHERE, by_table).classes == ["x", "y"]

    def test_captions_are_no_classes(self):
        rows = [f"{number},caption {number}" for number in range(6)]
        assert labels_of(read(self.tree | {"metadata.csv": table("file_name,text", rows)})) == EXPECTED


def test_one_clear_table_beside_an_unclear_one_is_asked_about():
    """Which of them has the classes, only the user knows."""
    rows = [f"{number},{'xy'[number % 2]}" for number in range(8)]
    tree = images([f"all/{number}.png" for number in range(8)])
    tree |= {"a.csv": table("id,kind", rows), "b.csv": table("id,Male,Young", [f"{row},1" for row in rows])}
    with pytest.raises(UnclearError, match=r"which column of b.csv has the labels") as caught:
        read(tree)
    assert [each.choice.labels for each in caught.value.proposals] == ["a.csv:id,kind"]
