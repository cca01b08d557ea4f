"""Bring images to the network's size."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from stages.prepare.errors import InputError
from stages.prepare.params import Dataset


def to_size(images: np.ndarray, params: Dataset) -> np.ndarray:
    """uint8 (N, H, W) -> uint8 (N, C, S, S): padded or resized, grey repeated over the channels.

    Raises: InputError when `fit: pad` meets an image larger than image_size.
    """
    size = params.image_size
    height, width = images.shape[1:]
    if (height, width) == (size, size):
        fitted = images
    elif params.fit == "pad":
        if max(height, width) > size:
            raise InputError(
                f"dataset.fit is pad, but images are {height}x{width} and image_size is {size}; use fit: resize or a larger image_size"
            )
        top, left = (size - height) // 2, (size - width) // 2
        fitted = np.pad(images, ((0, 0), (top, size - height - top), (left, size - width - left)))
    else:
        resample = Image.Resampling[params.resize_filter.upper()]
        fitted = np.stack([np.asarray(Image.fromarray(image).resize((size, size), resample)) for image in images])
    return np.repeat(fitted[:, None], params.channels, axis=1)


def content_hashes(images: np.ndarray) -> list[str]:
    """SHA-256 of each image's bytes, the first 16 hex digits: equal images have equal hashes."""
    return [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images]
