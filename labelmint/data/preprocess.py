"""Bring one image to the network's size, and know it again."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from labelmint.data.decode import decode
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError, Content


def to_tensor(content: Content, params: Dataset, box: np.ndarray | None = None) -> np.ndarray:
    """An encoded file or uint8 (H, W[, 3]) -> uint8 (C, S, S): decoded, cropped, sized, grey or RGB.

    box: left, top, right, bottom in pixels, for `crop: landmarks` and `bounding_box`.
    Raises: BadImageError when it cannot be decoded, its box misses it, or `fit: pad` meets an image larger than image_size.
    """
    size = params.image_size
    if isinstance(content, np.ndarray) and content.shape[:2] == (size, size) and params.crop == "none":
        if content.ndim == 2:
            return np.repeat(content[None], params.channels, axis=0)
        if params.channels == 3:
            return np.ascontiguousarray(content.transpose(2, 0, 1))
    if isinstance(content, np.ndarray):
        picture = Image.fromarray(content)
    else:
        picture = decode(content, params.background, _wanted(params))
    if params.channels == 1 and picture.mode != "L":
        picture = picture.convert("L")
    pixels = np.asarray(_fit(_crop(picture, params, box), params))
    return np.repeat(pixels[None], params.channels, axis=0) if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _wanted(params: Dataset) -> int | None:
    """How small a decoder may make the picture's sides. None where positions or sizes in pixels matter."""
    if params.fit == "pad" or params.crop in ("landmarks", "bounding_box"):
        return None
    return -(-params.image_size * 100 // (params.crop_percent if params.crop == "center" else 100))


def _crop(picture: Image.Image, params: Dataset, box: np.ndarray | None) -> Image.Image:
    width, height = picture.size
    if params.crop == "center":
        across, down = (max(1, round(side * params.crop_percent / 100)) for side in (width, height))
        left, top = (width - across) // 2, (height - down) // 2
        return picture.crop((left, top, left + across, top + down))
    if params.crop == "none" or box is None:
        return picture
    left, top, right, bottom = box.tolist()
    if params.crop == "bounding_box":  # drawn for another picture than the aligned one: it may lie outside
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right <= left or bottom <= top or left >= width or top >= height or right <= 0 or bottom <= 0:
        raise BadImageError(f"its {params.crop} window {tuple(box.tolist())} lies outside of its {width} x {height} pixels")
    return picture.crop((left, top, right, bottom))


def _fit(picture: Image.Image, params: Dataset) -> Image.Image:
    size, resample = params.image_size, Image.Resampling[params.resize_filter.upper()]
    width, height = picture.size
    if (width, height) == (size, size):
        return picture
    if params.fit == "resize":
        return picture.resize((size, size), resample)
    if params.fit == "cover":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return picture.resize((size, size), resample, box=(left, top, left + side, top + side))
    if params.fit == "contain":
        scale = size / max(width, height)
        picture = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), resample)
    elif max(width, height) > size:
        raise BadImageError(
            f"{height}x{width} pixels, more than image_size {size}, and dataset.fit is pad; use fit: contain or a larger image_size"
        )
    backdrop = Image.new(picture.mode, (size, size), (params.background,) * len(picture.getbands()))
    backdrop.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    return backdrop


def content_hash(tensor: np.ndarray) -> int:
    """The first 64 bits of the SHA-256 of its bytes: equal images have equal hashes."""
    return int.from_bytes(hashlib.sha256(tensor.tobytes()).digest()[:8], "big")
