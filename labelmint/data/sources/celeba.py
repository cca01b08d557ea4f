"""CelebA: faces with 40 attributes, in the published folder layout.

Source: Liu, Luo, Wang, Tang 2015, https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. It may not be fetched by a
program: a person agrees to its terms, and puts the files into data/raw/celeba.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path

import numpy as np

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.data.settings import Dataset
from labelmint.data.source import Source, single_attribute_to_classes, source_folder
from labelmint.data.sources.imagefolder import some
from labelmint.data.stored_images import FolderImages, TarImages, ZipImages
from labelmint.runtime.errors import InputError

WINDOW, BEFORE_EYE = 64, 15
_FOLDERS = ("img_align_celeba", "img_celeba")


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is missing; get CelebA from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and put img_align_celeba.zip "
            "and the list_*.txt files there, or set dataset.name: faces for procedural ones"
        )
    table = folder / "list_attr_celeba.txt"
    names, header, values = read_table(table, head_lines=2)
    attributes = header.split()
    if values.shape[1] != len(attributes):
        raise InputError(f"{table}: {len(attributes)} attributes named, {values.shape[1]} columns; fetch it again")
    if not np.isin(values, (-1, 1)).all():
        raise InputError(f"{table}: values other than 1 and -1; fetch it again")
    columns = [find_attribute(name, attributes) for name in dataset.attributes]
    images, place = find_images(folder, names, scratch, table)
    partition = _rows_for(names, folder / "list_eval_partition.txt", head_lines=0)[:, 0]
    if not np.isin(partition, (0, 1, 2)).all():
        raise InputError(f"{folder / 'list_eval_partition.txt'}: values other than 0, 1 and 2; fetch it again")
    used = [table, folder / "list_eval_partition.txt"]
    boxes, notes = None, []
    if dataset.crop == "landmarks":
        used.append(folder / "list_landmarks_align_celeba.txt")
        boxes = landmark_boxes(_rows_for(names, used[-1], head_lines=2)[:, :2])
    elif dataset.crop == "bounding_box":
        used.append(folder / "list_bbox_celeba.txt")
        boxes = _rows_for(names, used[-1], head_lines=2).astype(np.int32)
        boxes[:, 2:] += boxes[:, :2]
        notes.append(
            "bounding boxes are unreliable: they were drawn on the original photographs, not on the aligned ones, and often cut faces; crop: landmarks or center serves better"
        )
    source = Source(
        title=f"CelebA, {place}",
        licence="non-commercial research only",
        classes=list(dataset.attributes),
        labels=(values[:, columns] > 0).astype(np.uint8),
        images=images,
        split=partition.astype(np.uint8),
        boxes=boxes,
        checksums={f"{path.name} (sha256)": hashlib.sha256(path.read_bytes()).hexdigest() for path in used},
        notes=notes,
    )
    return single_attribute_to_classes(source, dataset)


def landmark_boxes(left_eyes: np.ndarray) -> np.ndarray:
    """int (N, 2), x and y -> int32 (N, 4): a 64 x 64 window whose corner is the left eye moved 15 px left and up.

    Source: the first of the project's reports, which found the published bounding boxes unreliable.
    """
    corner = left_eyes - BEFORE_EYE
    return np.concatenate([corner, corner + WINDOW], axis=1).astype(np.int32)


def find_attribute(name: str, known: list[str]) -> int:
    """Its column. Raises: InputError with the nearest name."""
    if name in known:
        return known.index(name)
    by_case = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_case, n=1)
    raise InputError(
        f"dataset.attributes: no '{name}'"
        + (f"; did you mean '{by_case[near[0]]}'?" if near else f"; there are {some(known, 40)}")
    )


def read_table(path: Path, head_lines: int) -> tuple[list[str], str, np.ndarray]:
    """(first column, last head line, int64 (N, columns)) of one of the published text tables.

    head_lines: 2 where the number of rows and the names of the columns come first, else 0.
    Raises: InputError naming the row that is wrong.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; it comes with CelebA's annotations") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text table; fetch it again") from error
    head, rows = lines[:head_lines], [line.split() for line in lines[head_lines:] if line.strip()]
    if not rows:
        raise InputError(f"{path}: no rows; fetch it again")
    if head and head[0].strip() != str(len(rows)):
        raise InputError(f"{path}: its first line promises {head[0].strip()} rows, it has {len(rows)}; fetch it again")
    width = len(rows[0])
    values = np.empty((len(rows), width - 1), np.int64)
    for number, row in enumerate(rows):
        try:
            values[number] = row[1:]
        except ValueError as error:
            raise InputError(
                f"{path}, line {number + head_lines + 1}: expected a name and {width - 1} whole numbers, got '{' '.join(row)[:60]}'; fetch it again"
            ) from error
    return [row[0] for row in rows], head[-1] if head else "", values


def _rows_for(names: list[str], path: Path, head_lines: int) -> np.ndarray:
    """Values for `names`, in their order. Raises: InputError when a name has no row."""
    own, _, values = read_table(path, head_lines)
    if own == names:
        return values
    place = {name: row for row, name in enumerate(own)}
    if missing := [name for name in names if name not in place]:
        raise InputError(f"{path}: no row for {some(missing)}; fetch it again")
    return values[[place[name] for name in names]]


def find_images(
    folder: Path, names: list[str], scratch: Path, table: Path
) -> tuple[FolderImages | TarImages | ZipImages, str]:
    """Images in the order of `names`, from a folder or an archive. Raises: InputError when there is none, or names and files differ."""
    for name in _FOLDERS:
        if (path := folder / name).is_dir():
            found = {file.name for file in path.iterdir() if file.suffix.lower() in (".jpg", ".png")}
            _same(names, found, path, table)
            return FolderImages(path, names), name
        if is_archive(path := folder / f"{name}.zip"):
            listing = list_members(path, scratch)
            members = {member.name.rsplit("/", 1)[-1]: member for member in listing.members}
            _same(names, set(members), path, table)
            return images_of(listing.path, [members[each] for each in names], names), name
    raise InputError(f"{folder}: neither {' nor '.join(f'{name}/ nor {name}.zip' for name in _FOLDERS)} is there")


def _same(names: list[str], found: set[str], path: Path, table: Path) -> None:
    if missing := [name for name in names if name not in found]:
        raise InputError(
            f"{path}: {some(missing)} missing, though {table.name} has a row for it; fetch the images again"
        )
    if extra := sorted(found - set(names)):
        raise InputError(f"{table}: no row for {some(extra)} of {path.name}; fetch the table again")
