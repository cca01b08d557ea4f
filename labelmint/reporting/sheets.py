"""Pictures embedded in the page: sheets of sample images, frames of training, pairs of nearest neighbours.

A page shows many arms, so every picture has a size limit.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from labelmint.data.storage.image_grid import grid, png
from labelmint.metrics.inputs import LabelledImages
from labelmint.reporting.figures import thinned

_COLUMNS = 6
_UNLABELLED_ROWS = 6
_MAX_ROWS = 12
_SHOWN_PIXELS = 52
_ENLARGED_PIXELS = 48  # size to which image_grid.grid enlarges small images
_WEBP_QUALITIES = (90, 70, 45)
_MIN_PIXELS = 12


@dataclass(frozen=True)
class Picture:
    """A picture of rows of images.

    uri: content as a data URI.
    width, height: size on the page, pixels.
    rows: title of each row; empty if the images have no labels.
    omitted: number of rows for which there was no room.
    """

    uri: str
    width: int
    height: int
    rows: list[str] = field(default_factory=list)
    omitted: int = 0


@dataclass(frozen=True)
class Frames:
    """Images from the same latents after some of the epochs, in order."""

    epochs: list[int]
    pictures: list[Picture]


def side_by_side(
    real: LabelledImages, synthetic: LabelledImages, names: list[str], max_bytes: int
) -> Picture:
    """The first images of each class or pattern, not selected: real ones left, synthetic ones right.

    names: of the classes or attributes.
    """
    if min(real[1].min(initial=0), synthetic[1].min(initial=0)) < 0:
        # Without labels on one side, no row has a title.
        pairs_of_rows = zip(*(rows_of(np.full(len(images), -1), names) for images, _ in (real, synthetic)))
        rows = [(title, own, other) for (title, own), (_, other) in pairs_of_rows]
    else:
        by_title = dict(rows_of(synthetic[1], names))
        rows = [(title, own, by_title.get(title, np.zeros(0, int))) for title, own in rows_of(real[1], names)]
    shown = thinned(rows, _MAX_ROWS)
    size = real[0].shape[2]
    left = np.asarray(grid(_sheet([own for _, own, _ in shown], real[0]), 1))
    right = np.asarray(grid(_sheet([other for _, _, other in shown], synthetic[0]), 1))
    gap = np.full((left.shape[0], max(2, size // 4), *left.shape[2:]), 128, np.uint8)
    sheet = Image.fromarray(np.concatenate([left, gap, right], 1))
    titles = [title for title, *_ in shown if title]
    return picture(sheet, size, max_bytes, titles, len(rows) - len(shown))


def _sheet(rows: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """The images of each row, uint8 (rows, columns, C, S, S); grey where a row has fewer."""
    sheet = np.full((len(rows), _COLUMNS, *images.shape[1:]), 128, np.uint8)
    for row, indices in enumerate(rows):
        if len(indices):
            sheet[row, : len(indices)] = images[indices]
    return sheet


def rows_of(labels: np.ndarray, names: list[str], columns: int = _COLUMNS) -> list[tuple[str, np.ndarray]]:
    """Title and first image indices of each row: every class, or the most frequent patterns of attributes."""
    if labels.ndim > 1:
        patterns, which, counts = np.unique(labels > 0.5, axis=0, return_inverse=True, return_counts=True)
        frequent = np.sort(np.argsort(-counts, kind="stable")[:_MAX_ROWS])
        titles = [
            "+".join(name for name, present in zip(names, pattern) if present) or "none of them"
            for pattern in patterns
        ]
        return [(titles[index], np.flatnonzero(which.ravel() == index)[:columns]) for index in frequent]
    if labels.min(initial=0) < 0:
        indices = np.arange(min(len(labels), _UNLABELLED_ROWS * columns))
        return [("", indices[start : start + columns]) for start in range(0, len(indices), columns)]
    return [(names[label], np.flatnonzero(labels == label)[:columns]) for label in np.unique(labels)]


def pairs(synthetic: np.ndarray, training: np.ndarray, found: list[list[float]], max_bytes: int) -> Picture:
    """Synthetic images above their nearest training images.

    found: [index of a synthetic image, index of a training image, distance, whether it is mirrored] each.
    """
    table = np.array(found)
    own, real, mirrored = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 3].astype(bool)
    nearest = np.array(training[real])
    nearest[mirrored] = nearest[mirrored][..., ::-1]
    sheet = np.stack([np.asarray(synthetic[own]), nearest])
    return picture(grid(sheet, 1), synthetic.shape[2], max_bytes)


def frames(folder: Path, size: int, count: int, max_bytes: int) -> Frames:
    """At most `count` of the files epoch-*.png in a folder.

    size: side of one image, pixels. max_bytes: of all frames together.
    """
    paths = thinned(sorted(folder.glob("epoch-*.png")), count)
    pictures = []
    for path in paths:
        sheet = _original_size(path, size)
        rows = min((sheet.height + 1) // (size + 1), _MAX_ROWS)
        sheet = sheet.crop((0, 0, sheet.width, rows * (size + 1) - 1))
        pictures.append(picture(sheet, size, max_bytes // len(paths)))
    return Frames([int(path.stem.removeprefix("epoch-")) for path in paths], pictures)


def stored(path: Path, size: int, max_bytes: int, rows: list[str] | None = None) -> Picture:
    """A sheet that another stage drew. size: side of one image, pixels."""
    return picture(_original_size(path, size), size, max_bytes, rows)


def _original_size(path: Path, size: int) -> Image.Image:
    """A sheet that image_grid.grid drew, without its enlargement of small images."""
    factor = max(1, _ENLARGED_PIXELS // size)
    with Image.open(path) as opened:
        return opened.resize((opened.width // factor, opened.height // factor), Image.Resampling.NEAREST)


def picture(
    sheet: Image.Image, size: int, max_bytes: int, rows: list[str] | None = None, omitted: int = 0
) -> Picture:
    """The sheet as PNG if that fits into `max_bytes`; otherwise as WebP, reduced in size if necessary.

    size: side of one of its images, pixels.
    """
    factor = max(1.0, _SHOWN_PIXELS / size)
    width, height = round(sheet.width * factor), round(sheet.height * factor)
    content, encoding = png(sheet), "png"
    pixels: float = size
    while len(content) > max_bytes and pixels >= _MIN_PIXELS:
        for quality in _WEBP_QUALITIES:
            content, encoding = _webp(sheet, quality), "webp"
            if len(content) <= max_bytes:
                break
        else:
            reduced = max(1, sheet.width * 2 // 3), max(1, sheet.height * 2 // 3)
            sheet = sheet.resize(reduced, Image.Resampling.BOX)
            pixels *= 2 / 3
    uri = f"data:image/{encoding};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, width, height, rows or [], omitted)


def _webp(sheet: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    sheet.convert("RGB").save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
