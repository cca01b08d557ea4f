"""Random trees: each file is read or listed as left out, and splits are never mixed with classes silently."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from labelmint.data.reading.decision import read_tree
from labelmint.data.reading.kinds import sort_files
from labelmint.data.reading.packed import DESCRIPTION, describe, packed_names
from labelmint.data.reading.reading import Choice, Reading, UnclearError
from labelmint.data.reading.split_names import roles
from labelmint.runtime.errors import InputError
from tests.command import labelmint
from tests.image_trees import encoded, in_folder, in_memory
from tests.integration.fuzz.bounds import assert_one_line, bounded

WHERE = Path("photos")
WORDS = ["train", "Test", "val", "seg_train", "seg_pred", "testset", "cat", "dog", "2", "10", "images", "a b"]
FOLDERS = st.sampled_from(WORDS) | st.text(
    st.characters(exclude_characters="/\0"), min_size=1, max_size=6
).filter(lambda name: name not in (".", ".."))
FILES = st.sampled_from(
    [
        "0.png",
        "1.jpg",
        "2.JPEG",
        "x.tga",
        "notes.txt",
        "noending",
        ".hidden",
        "3.png.bak",
        "labels.csv",
        "é.ppm",
        "e\u0301.ppm",
    ]
)
IMAGE = encoded(size=(4, 4))
CONTENTS = st.sampled_from(
    [IMAGE, b"", b"file_name,label\n0.png,x\n1.jpg,y\n", b"id,sex\n0,m\n1,f\n", b"<a/>"]
)
LAYOUTS = st.sampled_from([None, None, None, "classes", "splits", "innermost"])


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Folders of several depths, each with some of the same files."""
    folders = draw(st.lists(st.lists(FOLDERS, max_size=4).map("/".join), min_size=1, max_size=7, unique=True))
    names = {
        f"{folder}/{file}".lstrip("/")
        for folder in folders
        for file in draw(st.lists(FILES, min_size=1, max_size=5))
    }
    parents = {str(parent) for name in names for parent in Path(name).parents}
    return {name: draw(CONTENTS) for name in sorted(names - parents)}


def assert_complete(tree: dict[str, bytes], reading: Reading) -> None:
    """Each file is one entry, or left out and counted, or one of the tables that give the labels."""
    names = list(tree)
    indices = [entry.index for entry in reading.entries]
    assert len(set(indices)) == len(indices)
    counted = sum(map(_count, reading.left_out))
    rest = len(names) - len(indices) - counted
    tables = [name for name in names if name.endswith("labels.csv")] if ".csv" in reading.labels else []
    assert 0 <= rest <= len(tables), reading
    images = {image.index for image in sort_files(in_memory(tree)).images}
    assert set(indices) <= images
    left_images = sum(_count(text) for text in reading.left_out if re.match(r"\d+ images? ", text))
    assert len(images) == len(indices) + left_images


def _count(text: str) -> int:
    return int(text.split(maxsplit=1)[0].replace(",", ""))


def assert_clear(reading: Reading) -> None:
    """No class is named as a split, where folders name the classes."""
    if reading.labels.startswith("one folder per class"):
        assert not roles(reading.classes), reading.classes


def assert_repacked(reading: Reading) -> None:
    """What `import` packs is read as the same."""
    tree = dict.fromkeys(packed_names(reading), b"") | {DESCRIPTION: describe(reading)}
    found = read_tree(in_memory(tree), WHERE, Choice())
    assert (found.classes, found.has_splits, len(tree) - 1) == (
        reading.classes,
        reading.has_splits,
        len(reading.entries),
    )
    assert [(entry.split, entry.label) for entry in found.entries] == [
        (entry.split, entry.label) for entry in reading.entries
    ]


@bounded(300)
@given(tree=trees(), layout=LAYOUTS)
def test_every_file_is_read_or_left_out_aloud(tree, layout):
    try:
        reading = read_tree(in_memory(tree), WHERE, Choice(layout))
    except InputError as error:
        assert_one_line(error, printed=True)
        for proposal in error.proposals if isinstance(error, UnclearError) else ():
            with suppress(InputError):  # a class folder without images
                assert_complete(tree, read_tree(in_memory(tree), WHERE, proposal.choice))
        return
    assert_complete(tree, reading)
    assert_repacked(reading)
    if layout is None:
        assert_clear(reading)


@bounded(100)
@given(tree=trees(), data=st.data())
def test_the_order_of_the_listing_changes_nothing(tree, data):
    shuffled = data.draw(st.permutations(list(tree)))
    found = []
    for names in (list(tree), shuffled):
        try:
            reading = read_tree(in_memory({name: tree[name] for name in names}), WHERE, Choice())
        except InputError as error:
            found.append(Counter(str(error)[:40]))
        else:
            files = [(entry.split, entry.label, names[entry.index]) for entry in reading.entries]
            found.append(Counter([*map(str, files), *reading.left_out]))
    assert found[0] == found[1]


@bounded(8)
@given(tree=trees())
def test_the_command_prints_what_was_left_out_or_refuses(checkout, tmp_path_factory, tree):
    assume(all(name.isprintable() and len(name.encode()) < 200 for name in tree))
    root = in_folder(tmp_path_factory.mktemp("tree"), tree)
    done = labelmint(checkout, "import", root, "--name", "mine", "--dry-run", "--on-bad-image", "skip")
    if done.code == 2:
        assert done.err.splitlines()[-1].startswith("error: ")
        return
    assert done.code == 0, done.err
    reading = read_tree(in_memory(tree), root, Choice())
    for text in reading.left_out:
        assert f"  left out    {text}" in done.out
