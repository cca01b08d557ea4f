"""Grids of images, and their encoding as PNG and GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_GAP = 1
_FRAME_MILLISECONDS = 400


def grid(images: np.ndarray, min_pixels: int = 48) -> Image.Image:
    """Draw images in rows and columns, with a grey line between them.

    images: uint8 (rows, columns, C, S, S) with C 1 or 3. If S is below `min_pixels`, the sheet is enlarged by
    the largest integer factor that keeps S at or below it.
    """
    rows, columns, channels, size, _ = images.shape
    sheet = np.full((rows * (size + _GAP) - _GAP, columns * (size + _GAP) - _GAP, channels), 128, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (size + _GAP), column * (size + _GAP)
            sheet[top : top + size, left : left + size] = images[row, column].transpose(1, 2, 0)
    picture = Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)
    factor = max(1, min_pixels // size)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def png(picture: Image.Image) -> bytes:
    """PNG file content of a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def save_gif(path: Path, pictures: Sequence[Image.Image]) -> None:
    """Write an endless animation, one frame per picture. The last frame is shown four times as long."""
    durations = [_FRAME_MILLISECONDS] * (len(pictures) - 1) + [4 * _FRAME_MILLISECONDS]
    pictures[0].save(path, "GIF", save_all=True, append_images=list(pictures[1:]), duration=durations, loop=0)
