"""Conversion of one image to the size and channels of the networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from labelmint.data.decode import Decoded, decode
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError, Content


class Tensor(NamedTuple):
    """A converted image, uint8 (C, S, S). bits: those that its largest value used of 16; 0 for 8 bits."""

    pixels: np.ndarray
    bits: int = 0


def to_tensor(content: Content, dataset: Dataset, box: np.ndarray | None = None) -> Tensor:
    """Decode, crop and resize an image, and convert it to grey or RGB.

    content: encoded file, or uint8 (H, W[, 3]).
    box: left, top, right, bottom in pixels, for `crop: landmarks` and `bounding_box`.
    Raises: BadImageError if it cannot be decoded, misses its box, or is too large for `fit: pad`.
    """
    size = dataset.image_size
    if isinstance(content, np.ndarray) and content.shape[:2] == (size, size) and dataset.crop == "none":
        if content.ndim == 2:
            return Tensor(np.repeat(content[None], dataset.channels, axis=0))
        if dataset.channels == 3:
            return Tensor(np.ascontiguousarray(content.transpose(2, 0, 1)))
    if isinstance(content, np.ndarray):
        image, bits = Decoded(Image.fromarray(content))
    else:
        image, bits = decode(content, dataset.background, _needed_side(dataset), dataset.bit_depth or 16)
    if dataset.channels == 1 and image.mode != "L":
        image = image.convert("L")
    pixels = np.asarray(_fit(_crop(image, dataset, box), dataset))
    if pixels.ndim == 2:
        return Tensor(np.repeat(pixels[None], dataset.channels, axis=0), bits)
    return Tensor(pixels.transpose(2, 0, 1), bits)


def _needed_side(dataset: Dataset) -> int | None:
    """Pixels of the short side that a decoder must keep. None where positions or sizes in pixels matter."""
    if dataset.fit == "pad" or dataset.crop in ("landmarks", "bounding_box"):
        return None
    return -(-dataset.image_size * 100 // (dataset.crop_percent if dataset.crop == "center" else 100))


def _crop(image: Image.Image, dataset: Dataset, box: np.ndarray | None) -> Image.Image:
    width, height = image.size
    if dataset.crop == "center":
        across, down = (max(1, round(side * dataset.crop_percent / 100)) for side in (width, height))
        left, top = (width - across) // 2, (height - down) // 2
        return image.crop((left, top, left + across, top + down))
    if dataset.crop == "none" or box is None:
        return image
    left, top, right, bottom = box.tolist()
    if dataset.crop == "bounding_box":  # drawn on the original image, so it may extend beyond the aligned one
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right <= left or bottom <= top or left >= width or top >= height or right <= 0 or bottom <= 0:
        raise BadImageError(
            f"its {dataset.crop} window {tuple(box.tolist())} is outside of its {width} x {height} pixels"
        )
    return image.crop((left, top, right, bottom))


def _fit(image: Image.Image, dataset: Dataset) -> Image.Image:
    size, resample = dataset.image_size, Image.Resampling[dataset.resize_filter.upper()]
    width, height = image.size
    if (width, height) == (size, size):
        return image
    if dataset.fit == "resize":
        return image.resize((size, size), resample)
    if dataset.fit == "cover":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return image.resize((size, size), resample, box=(left, top, left + side, top + side))
    if dataset.fit == "contain":
        scale = size / max(width, height)
        image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), resample)
    elif max(width, height) > size:
        raise BadImageError(
            f"{height}x{width} pixels, more than image_size {size}, and dataset.fit is pad; "
            "use fit: contain or a larger image_size"
        )
    padded = Image.new(image.mode, (size, size), (dataset.background,) * len(image.getbands()))
    padded.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    return padded
