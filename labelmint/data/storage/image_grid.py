"""Grids of images as PNG, and their sequence over training as GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_GAP = 1
_GIF_MILLISECONDS = 400


def grid(images: np.ndarray, shown_pixels: int = 48) -> Image.Image:
    """images: uint8 (rows, columns, C, S, S), C 1 or 3. Smaller ones are enlarged by a whole factor up to `shown_pixels`."""
    rows, columns, channels, size, _ = images.shape
    sheet = np.full((rows * (size + _GAP) - _GAP, columns * (size + _GAP) - _GAP, channels), 128, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (size + _GAP), column * (size + _GAP)
            sheet[top : top + size, left : left + size] = images[row, column].transpose(1, 2, 0)
    picture = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    factor = max(1, shown_pixels // size)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def save_gif(path: Path, pictures: Sequence[Image.Image]) -> None:
    """One frame per picture; the last stays longer."""
    durations = [_GIF_MILLISECONDS] * (len(pictures) - 1) + [4 * _GIF_MILLISECONDS]
    pictures[0].save(path, "GIF", save_all=True, append_images=list(pictures[1:]), duration=durations, loop=0)
