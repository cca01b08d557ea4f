"""Pictures as data: sheets of sample images, a row for each class or common pattern of attributes; frames of training; pairs.

A page holds many arms, so that every picture is given the most bytes it may take.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from labelmint.data.storage.image_grid import grid, png
from labelmint.reporting.figures import thinned

_COLUMNS = 12
_PLAIN_ROWS = 6
_MOST_ROWS = 12
_BESIDE = 6
_SHOWN_PIXELS = 52
_WEBP_QUALITIES = (90, 70, 45)
_LEAST_PIXELS = 12


@dataclass(frozen=True)
class Picture:
    """uri: as data. width, height: pixels at which it is shown. rows: what each row shows; none where images have no labels.

    left_out: rows for which there was no room.
    """

    uri: str
    width: int
    height: int
    rows: list[str] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True)
class Frames:
    """The same latents after some of the epochs, in their order."""

    epochs: list[int]
    pictures: list[Picture]


def side_by_side(
    real: tuple[np.ndarray, np.ndarray], minted: tuple[np.ndarray, np.ndarray], names: list[str], most_bytes: int
) -> Picture:
    """The first few of each kind, not chosen: real ones on the left, minted ones on the right.

    real, minted: uint8 (N, C, S, S), and labels: int64 (N,), -1 for none; or float32 multi-hot (N, A). names: of classes or attributes.
    """
    if min(real[1].min(initial=0), minted[1].min(initial=0)) < 0:  # of images without labels both sides are plain
        untold = [np.full(len(images), -1) for images, _ in (real, minted)]
        rows = [
            (title, own, other)
            for (title, own), (_, other) in zip(kinds(untold[0], names, _BESIDE), kinds(untold[1], names, _BESIDE))
        ]
    else:
        beside = dict(kinds(minted[1], names, _BESIDE))
        rows = [(title, own, beside.get(title, np.zeros(0, int))) for title, own in kinds(real[1], names, _BESIDE)]
    shown = thinned(rows, _MOST_ROWS)
    channels, size = real[0].shape[1:3]
    gap = max(2, size // 4)
    halves = [
        np.asarray(grid(_sheet([row[side] for row in shown], images, _BESIDE), 1))
        for side, images in ((1, real[0]), (2, minted[0]))
    ]
    between = np.full((halves[0].shape[0], gap, *halves[0].shape[2:]), 128, np.uint8)
    whole = Image.fromarray(np.concatenate([halves[0], between, halves[1]], 1))
    return picture(whole, size, most_bytes, [row[0] for row in shown if row[0]], len(rows) - len(shown))


def _sheet(rows: list[np.ndarray], images: np.ndarray, columns: int) -> np.ndarray:
    sheet = np.full((len(rows), columns, *images.shape[1:]), 128, np.uint8)
    for row, members in enumerate(rows):
        if len(members):
            sheet[row, : len(members)] = images[members]
    return sheet


def kinds(labels: np.ndarray, names: list[str], columns: int = _COLUMNS) -> list[tuple[str, np.ndarray]]:
    """A title and the first places of each row: every class, or the commonest patterns of attributes."""
    if labels.ndim > 1:
        patterns, which, counts = np.unique(labels > 0.5, axis=0, return_inverse=True, return_counts=True)
        common = np.sort(np.argsort(-counts, kind="stable")[:_MOST_ROWS])
        titles = ["+".join(name for name, on in zip(names, pattern) if on) or "none of them" for pattern in patterns]
        return [(titles[place], np.flatnonzero(which.ravel() == place)[:columns]) for place in common]
    if labels.min(initial=0) < 0:
        plain = np.arange(min(len(labels), _PLAIN_ROWS * columns))
        return [("", plain[at : at + columns]) for at in range(0, len(plain), columns)]
    return [(names[label], np.flatnonzero(labels == label)[:columns]) for label in np.unique(labels)]


def pairs(minted: np.ndarray, training: np.ndarray, found: list[list[float]], most_bytes: int) -> Picture:
    """Minted images above the training images nearest to them.

    found: [place of a minted image, place of a training image, distance, whether its mirror image is meant] each.
    """
    table = np.array(found)
    own, real, mirrored = table[:, 0].astype(int), table[:, 1].astype(int), table[:, 3].astype(bool)
    known = np.array(training[real])
    known[mirrored] = known[mirrored][..., ::-1]
    sheet = np.stack([np.asarray(minted[own]), known])
    return picture(grid(sheet, 1), minted.shape[2], most_bytes)


def frames(folder: Path, size: int, most: int, most_bytes: int) -> Frames:
    """Of an arm's samples/epoch-*.png. size: side of one image, pixels. most: how many. most_bytes: of all together."""
    paths = thinned(sorted(folder.glob("epoch-*.png")), most)
    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            factor = max(1, 48 // size)  # previews.grid enlarges small images so that a person can see them
            sheet = opened.resize((opened.width // factor, opened.height // factor), Image.Resampling.NEAREST)
        rows = min((sheet.height + 1) // (size + 1), _MOST_ROWS)
        sheet = sheet.crop((0, 0, sheet.width, rows * (size + 1) - 1))
        pictures.append(picture(sheet, size, most_bytes // len(paths)))
    return Frames([int(path.stem.removeprefix("epoch-")) for path in paths], pictures)


def stored(path: Path, size: int, most_bytes: int, rows: list[str] | None = None) -> Picture:
    """A sheet that another stage drew, in which small images stand enlarged."""
    factor = max(1, 48 // size)
    with Image.open(path) as opened:
        sheet = opened.resize((opened.width // factor, opened.height // factor), Image.Resampling.NEAREST)
    return picture(sheet, size, most_bytes, rows or [])


def picture(sheet: Image.Image, size: int, most_bytes: int, rows: list[str] | None = None, left_out: int = 0) -> Picture:  # fmt: skip
    """The sheet without loss if it fits into most_bytes; else as WebP, at last smaller. size: side of one of its images."""
    factor = max(1.0, _SHOWN_PIXELS / size)
    width, height = round(sheet.width * factor), round(sheet.height * factor)
    content, kind = png(sheet), "png"
    pixels: float = size
    while len(content) > most_bytes and pixels >= _LEAST_PIXELS:
        for quality in _WEBP_QUALITIES:
            content, kind = _webp(sheet, quality), "webp"
            if len(content) <= most_bytes:
                break
        else:
            sheet = sheet.resize((max(1, sheet.width * 2 // 3), max(1, sheet.height * 2 // 3)), Image.Resampling.BOX)
            pixels *= 2 / 3
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, width, height, rows or [], left_out)


def _webp(sheet: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    sheet.convert("RGB").save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
