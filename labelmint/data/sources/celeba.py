"""Reader of CelebA: faces with 40 attributes, as it is published or as Kaggle gives it.

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
from labelmint.data.sources.celeba_tables import read_table
from labelmint.data.stored_images import FolderImages, TarImages, ZipImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean, shortened

WINDOW, BEFORE_EYE = 64, 15
_FOLDERS = ("img_align_celeba", "img_celeba")
_PARTITION, _LANDMARKS, _BOXES = (
    "list_eval_partition",
    "list_landmarks_align_celeba",
    "list_bbox_celeba",
)


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    folder = source_folder(dataset, raw)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is missing; get CelebA from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and "
            "put img_align_celeba.zip and the list_*.txt files there, "
            "or set dataset.name: faces for procedural faces"
        )
    table = read_table(folder, "list_attr_celeba")
    names, attributes, values = table.names, table.columns, table.values
    if values.shape[1] != len(attributes):
        raise InputError(
            f"{table.path}: names {len(attributes)} attributes but has {values.shape[1]} columns; "
            "fetch it again"
        )
    if not np.isin(values, (-1, 1)).all():
        raise InputError(f"{table.path}: has values other than 1 and -1; fetch it again")
    columns = [find_attribute(name, attributes) for name in dataset.attributes]
    images, location = find_images(folder, names, scratch, table.path)
    parts = read_table(folder, _PARTITION, has_head=False)
    partition = parts.of(names)[:, 0]
    if not np.isin(partition, (0, 1, 2)).all():
        raise InputError(f"{parts.path}: has values other than 0, 1 and 2; fetch it again")
    used = [table, parts]
    boxes, notes = None, []
    if dataset.crop == "landmarks":
        used.append(read_table(folder, _LANDMARKS))
        boxes = landmark_boxes(used[-1].of(names)[:, :2])
    elif dataset.crop == "bounding_box":
        used.append(read_table(folder, _BOXES))
        boxes = used[-1].of(names).astype(np.int32)
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
        checksums={
            f"{each.path.name} (sha256)": hashlib.sha256(each.path.read_bytes()).hexdigest() for each in used
        },
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


def find_images(
    folder: Path, names: list[str], scratch: Path, table: Path
) -> tuple[FolderImages | TarImages | ZipImages, str]:
    """Find the images, in a folder or an archive.

    Returns: (images in the order of `names`, name of the folder they are in).
    Raises: InputError when there are none, or when the files differ from `names`.
    """
    for name in (*_FOLDERS, *(f"Img/{name}" for name in _FOLDERS)):
        if (path := folder / name).is_dir():
            if (inner := path / path.name).is_dir():  # an archive unpacked into a folder of its name
                path = inner
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
