"""Reader of CelebA: faces with 40 attributes, in the published folder layout.

Source: Liu, Luo, Wang, Tang 2015, https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html.
Its terms forbid a download by a program: the user accepts them and puts the files into data/raw/celeba.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from labelmint.data.archives import images_of, is_archive, list_members
from labelmint.data.settings import Dataset
from labelmint.data.source import Source, single_attribute_to_classes, source_folder
from labelmint.data.stored_images import FolderImages, TarImages, ZipImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean, shortened

WINDOW, BEFORE_EYE = 64, 15
_FOLDERS = ("img_align_celeba", "img_celeba")
_PARTITION, _LANDMARKS, _BOXES = (
    "list_eval_partition.txt",
    "list_landmarks_align_celeba.txt",
    "list_bbox_celeba.txt",
)


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is missing; get CelebA from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and "
            "put img_align_celeba.zip and the list_*.txt files there, "
            "or set dataset.name: faces for procedural faces"
        )
    table = folder / "list_attr_celeba.txt"
    names, header, values = read_table(table, head_lines=2)
    attributes = header.split()
    if values.shape[1] != len(attributes):
        raise InputError(
            f"{table}: names {len(attributes)} attributes but has {values.shape[1]} columns; fetch it again"
        )
    if not np.isin(values, (-1, 1)).all():
        raise InputError(f"{table}: has values other than 1 and -1; fetch it again")
    columns = [find_attribute(name, attributes) for name in dataset.attributes]
    images, location = find_images(folder, names, scratch, table)
    partition = _values_of(names, folder / _PARTITION, head_lines=0)[:, 0]
    if not np.isin(partition, (0, 1, 2)).all():
        raise InputError(f"{folder / _PARTITION}: has values other than 0, 1 and 2; fetch it again")
    used = [table, folder / _PARTITION]
    boxes, notes = None, []
    if dataset.crop == "landmarks":
        used.append(folder / _LANDMARKS)
        boxes = landmark_boxes(_values_of(names, used[-1], head_lines=2)[:, :2])
    elif dataset.crop == "bounding_box":
        used.append(folder / _BOXES)
        boxes = _values_of(names, used[-1], head_lines=2).astype(np.int32)
        boxes[:, 2:] += boxes[:, :2]
        notes.append(
            "bounding boxes are unreliable: they were drawn on the original photographs, "
            "not on the aligned ones, and often cut faces; crop: landmarks or center works better"
        )
    source = Source(
        title=f"CelebA, {location}",
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
    """Windows of 64 x 64 pixels whose corner is 15 px left of and above the left eye.

    left_eyes: int (N, 2), x and y. Returns: int32 (N, 4), left, top, right, bottom.
    Source: the first report in docs/reports.md, which found the published bounding boxes unreliable.
    """
    corner = left_eyes - BEFORE_EYE
    return np.concatenate([corner, corner + WINDOW], axis=1).astype(np.int32)


def find_attribute(name: str, known: list[str]) -> int:
    """Column of an attribute. Raises: InputError with the most similar name."""
    if name in known:
        return known.index(name)
    hint = did_you_mean(name, known) or f"; there are {shortened(known, 40)}"
    raise InputError(f"dataset.attributes: no '{name}'{hint}")


def read_table(path: Path, head_lines: int) -> tuple[list[str], str, np.ndarray]:
    """Read one of the published text tables.

    head_lines: 2 for a table that starts with the number of rows and the column names, else 0.
    Returns: (names in the first column, last head line, int64 (N, columns)).
    Raises: InputError with the line at fault.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; it is one of CelebA's annotation files") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text table; fetch it again") from error
    head, rows = lines[:head_lines], [line.split() for line in lines[head_lines:] if line.strip()]
    if not rows:
        raise InputError(f"{path}: no rows; fetch it again")
    if head and head[0].strip() != str(len(rows)):
        raise InputError(
            f"{path}: the first line declares {head[0].strip()} rows, "
            f"the file has {len(rows)}; fetch it again"
        )
    width = len(rows[0])
    values = np.empty((len(rows), width - 1), np.int64)
    for number, row in enumerate(rows):
        try:
            values[number] = row[1:]
        except ValueError as error:
            raise InputError(
                f"{path}, line {number + head_lines + 1}: expected a name and {width - 1} integers, "
                f"got '{' '.join(row)[:60]}'; fetch it again"
            ) from error
    return [row[0] for row in rows], head[-1] if head else "", values


def _values_of(names: list[str], path: Path, head_lines: int) -> np.ndarray:
    """Rows of a table in the order of `names`. Raises: InputError when a name has no row."""
    own, _, values = read_table(path, head_lines)
    if own == names:
        return values
    row_of = {name: row for row, name in enumerate(own)}
    if missing := [name for name in names if name not in row_of]:
        raise InputError(f"{path}: no row for {shortened(missing)}; fetch it again")
    return values[[row_of[name] for name in names]]


def find_images(
    folder: Path, names: list[str], scratch: Path, table: Path
) -> tuple[FolderImages | TarImages | ZipImages, str]:
    """Find the images, in a folder or an archive.

    Returns: (images in the order of `names`, name of the folder they are in).
    Raises: InputError when there are none, or when the files differ from `names`.
    """
    for name in _FOLDERS:
        if (path := folder / name).is_dir():
            found = {file.name for file in path.iterdir() if file.suffix.lower() in (".jpg", ".png")}
            _check_names(names, found, path, table)
            return FolderImages(path, names), name
        if is_archive(path := folder / f"{name}.zip"):
            listing = list_members(path, scratch)
            members = {member.name.rsplit("/", 1)[-1]: member for member in listing.members}
            _check_names(names, set(members), path, table)
            return images_of(listing.path, [members[each] for each in names], names), name
    raise InputError(
        f"{folder}: no {', '.join(f'{name}/ or {name}.zip' for name in _FOLDERS)}; put CelebA's images there"
    )


def _check_names(names: list[str], found: set[str], path: Path, table: Path) -> None:
    """Check that the table's rows and the image files agree. Raises: InputError."""
    if missing := [name for name in names if name not in found]:
        raise InputError(
            f"{path}: {shortened(missing)} missing, but {table.name} has a row for it; fetch the images again"
        )
    if extra := sorted(found - set(names)):
        raise InputError(f"{table}: no row for {shortened(extra)} of {path.name}; fetch the table again")
