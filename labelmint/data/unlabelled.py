"""Images without labels, converted as those of a data set, for a classifier to label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from labelmint.data.archives import is_archive
from labelmint.data.convert import convert
from labelmint.data.reading.kinds import sort_files
from labelmint.data.reading.tree import open_tree
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImages, Images, Source
from labelmint.data.stored_images import FolderImages
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute


@dataclass(frozen=True)
class UnlabelledImages:
    """names: below the folder or in the archive. images: uint8 (N, C, S, S). bad: what cannot be read."""

    names: list[str]
    images: np.ndarray
    bad: BadImages


def read_unlabelled(path: Path, dataset: Dataset, compute: Compute) -> UnlabelledImages:
    """Read an image, a folder with images at any depth, or a zip or tar archive of them.

    dataset: how the images are resized and converted.
    Raises: InputError if there is no image, or none that can be read.
    """
    if dataset.crop in ("landmarks", "bounding_box"):
        raise InputError(f"dataset.crop: {dataset.crop} needs annotations, which new images do not have")
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        names, images = _find(path, scratch)
        source = Source(
            title=path.name, licence="", classes=[], labels=np.zeros(len(names), np.int64), images=images
        )
        target = scratch / "images.npy"
        converted = convert(source, np.arange(len(names)), dataset, target, compute)
        good = np.flatnonzero(converted.good)
        if not len(good):
            name, reason = converted.bad[0]
            raise InputError(f"{path}: none of its {len(names):,} images can be read; {name}: {reason}")
        return UnlabelledImages([names[row] for row in good], np.load(target)[good], converted.bad)


def _find(path: Path, scratch: Path) -> tuple[list[str], Images]:
    """Names of the images at `path`, sorted, and their contents."""
    if not path.exists():
        raise InputError(f"{path} does not exist; give an image, or a folder or archive of images")
    if path.is_file() and not is_archive(path):
        return [path.name], FolderImages(path.parent, [path.name])
    tree = open_tree(path, scratch)
    rows = sorted((image.index for image in sort_files(tree).images), key=tree.names.__getitem__)
    if not rows:
        raise InputError(f"{path}: no images in it (PNG, JPEG, BMP, WebP, TIFF or PPM)")
    return [tree.names[row] for row in rows], tree.images(rows)
