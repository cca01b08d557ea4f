"""Sheets of sample images, a row for each class or common pattern of attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.report.figures import data_uri
from stages.train_generators.previews import grid, png

_COLUMNS = 12
_MOST_PATTERNS = 12
_PLAIN_ROWS = 6


@dataclass(frozen=True)
class Sheet:
    """uri: a PNG as data. rows: what each row shows; none where images have no labels."""

    uri: str
    rows: list[str]


def of(images: np.ndarray, labels: np.ndarray, names: list[str]) -> Sheet:
    """The first few of each kind, not chosen.

    images: uint8 (N, C, S, S). labels: int64 (N,), -1 for none; or float32 multi-hot (N, A). names: of classes or attributes.
    """
    rows = kinds(labels, names)
    sheet = np.zeros((len(rows), _COLUMNS, *images.shape[1:]), np.uint8)
    for row, (_, members) in enumerate(rows):
        sheet[row, : len(members)] = images[members]
    return Sheet(data_uri(png(grid(sheet)), "png"), [title for title, _ in rows if title])


def kinds(labels: np.ndarray, names: list[str]) -> list[tuple[str, np.ndarray]]:
    """A title and at most twelve places of each row."""
    if labels.ndim > 1:
        patterns, which, counts = np.unique(labels > 0.5, axis=0, return_inverse=True, return_counts=True)
        common = np.sort(np.argsort(-counts, kind="stable")[:_MOST_PATTERNS])
        titles = ["+".join(name for name, on in zip(names, pattern) if on) or "none of them" for pattern in patterns]
        return [(titles[place], np.flatnonzero(which.ravel() == place)[:_COLUMNS]) for place in common]
    if labels.min(initial=0) < 0:
        plain = np.arange(min(len(labels), _PLAIN_ROWS * _COLUMNS))
        return [("", plain[at : at + _COLUMNS]) for at in range(0, len(plain), _COLUMNS)]
    return [(names[label], np.flatnonzero(labels == label)[:_COLUMNS]) for label in np.unique(labels)]


def pairs(minted: np.ndarray, training: np.ndarray, found: list[list[float]]) -> str:
    """A PNG as data: minted images above the training images nearest to them.

    found: [place of a minted image, place of a training image, distance] each.
    """
    places = np.array(found)[:, :2].astype(int)
    sheet = np.stack([np.asarray(images[which]) for images, which in zip((minted, training), places.T)])
    return data_uri(png(grid(sheet)), "png")
