from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION, Source
from labelmint.data.sources import celeba, read
from labelmint.data.sources.faces import write_celeba
from labelmint.runtime.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """CelebA's published layout, with 12 procedural faces."""
    write_celeba(tmp_path / "celeba", 12)
    return tmp_path / "celeba"


def read_celeba(folder: Path, **changes) -> Source:
    settings = {"name": "celeba", "attributes": ["Male", "Young"], "path": str(folder), **changes}
    return read(Dataset(**settings), folder, folder)


def test_labels_are_the_attributes_of_the_table(folder):
    source = read_celeba(folder)
    rows = [line.split() for line in (folder / "list_attr_celeba.txt").read_text().splitlines()]
    columns = [1 + rows[1].index(name) for name in ("Male", "Young")]
    assert source.labels.tolist() == [[int(row[column] == "1") for column in columns] for row in rows[2:]]
    assert set(np.asarray(source.split).tolist()) == {TRAIN, VALIDATION, TEST}


def test_one_attribute_makes_two_classes(folder):
    source = read_celeba(folder, attributes=["Male"])
    assert source.classes == ["not Male", "Male"]
    assert source.labels.tolist() == read_celeba(folder).labels[:, 0].tolist()


def test_a_zip_is_read_like_the_folder(folder, contents):
    before = contents(read_celeba(folder), 3)
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for path in sorted((folder / "img_align_celeba").iterdir(), reverse=True):
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    (folder / "img_align_celeba").rmdir()
    assert contents(read_celeba(folder), 3) == before


def test_landmark_windows(folder):
    source = read_celeba(folder, crop="landmarks")
    row = (folder / "list_landmarks_align_celeba.txt").read_text().splitlines()[2].split()
    left, top = int(row[1]) - 15, int(row[2]) - 15
    assert np.asarray(source.boxes)[0].tolist() == [left, top, left + 64, top + 64]


def test_bounding_boxes_come_with_a_warning(folder):
    source = read_celeba(folder, crop="bounding_box")
    row = list(map(int, (folder / "list_bbox_celeba.txt").read_text().splitlines()[2].split()[1:]))
    assert np.asarray(source.boxes)[0].tolist() == [row[0], row[1], row[0] + row[2], row[1] + row[3]]
    assert "bounding boxes are unreliable" in source.notes[0]


def test_kaggles_tables_of_commas(folder):
    expected = read_celeba(folder, crop="landmarks")
    for name in ("list_attr_celeba", "list_eval_partition", "list_landmarks_align_celeba"):
        lines = (folder / f"{name}.txt").read_text().splitlines()
        rows = [line.split() for line in lines[0 if name == "list_eval_partition" else 2 :]]
        head = ["image_id", *(lines[1].split() if len(lines) > len(rows) else ["partition"])]
        (folder / f"{name}.csv").write_text("".join(f"{','.join(row)}\n" for row in [head, *rows]))
        (folder / f"{name}.txt").unlink()
    source = read_celeba(folder, crop="landmarks")
    assert source.labels.tolist() == expected.labels.tolist()
    assert np.asarray(source.split).tolist() == np.asarray(expected.split).tolist()
    assert np.asarray(source.boxes).tolist() == np.asarray(expected.boxes).tolist()
    assert list(source.checksums)[0] == "list_attr_celeba.csv (sha256)"


@pytest.mark.parametrize("image_folder", ["img_align_celeba/img_align_celeba", "Img/img_align_celeba"])
def test_folders_within_folders(folder, contents, image_folder):
    expected = contents(read_celeba(folder), *range(12))
    (folder / "img_align_celeba").rename(folder / "moved")
    (folder / image_folder).parent.mkdir()
    (folder / "moved").rename(folder / image_folder)
    for name, inner in (("list_attr_celeba.txt", "Anno"), ("list_eval_partition.txt", "Eval")):
        (folder / inner).mkdir()
        (folder / name).rename(folder / inner / name)
    assert contents(read_celeba(folder), *range(12)) == expected


def without(number):
    return lambda lines: [*lines[:number], *lines[number + 1 :]]


def changed(number, change):
    return lambda lines: [*lines[:number], change(lines[number]), *lines[number + 1 :]]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("list_attr_celeba.txt", without(4), "the first line declares 12 rows, the file has 11"),
        ("list_attr_celeba.txt", lambda lines: ["11", *without(3)(lines[1:])], "no row for 000003.jpg"),
        ("list_attr_celeba.txt", changed(3, lambda line: line[:-4]), "line 4: expected a name and 40"),
        ("list_attr_celeba.txt", changed(3, lambda line: line.replace("-1", "x", 1)), "line 4: expected"),
        ("list_attr_celeba.txt", changed(3, lambda line: line.replace("-1", "3", 1)), "other than 1 and -1"),
        ("list_attr_celeba.txt", changed(1, lambda line: f"{line} More"), "names 41 attributes but has 40"),
        ("list_eval_partition.txt", lambda lines: lines[:-1], "no row for 000012.jpg"),
        ("list_eval_partition.txt", changed(0, lambda line: line[:-1] + "7"), "values other than 0, 1 and 2"),
    ],
)
def test_refuses_tables_with_a_missing_or_wrong_row(folder, file, change, message):
    path = folder / file
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=message) as error:
        read_celeba(folder)
    assert "\n" not in str(error.value)


def test_refuses_unknown_attributes_and_missing_files(folder):
    with pytest.raises(InputError, match="no 'Smilling'; did you mean 'Smiling'"):
        read_celeba(folder, attributes=["Smilling"])
    (folder / "img_align_celeba" / "000005.jpg").unlink()
    with pytest.raises(InputError, match=r"000005.jpg missing, but list_attr_celeba.txt has a row"):
        read_celeba(folder)
    (folder / "list_eval_partition.txt").unlink()
    names = [path.name for path in (folder / "img_align_celeba").iterdir()]
    with pytest.raises(InputError, match="list_attr_celeba.txt: no row for"):
        celeba.find_images(folder, names[1:], folder, folder / "list_attr_celeba.txt")
    with pytest.raises(InputError, match="put img_align_celeba.zip and the list"):
        read_celeba(folder / "nowhere")
