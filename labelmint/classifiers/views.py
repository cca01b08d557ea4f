"""Views of images: the part that contains a generator's fingerprint, or the image with it hidden.

Images and views are uint8 (N, C, S, S). Training, held-out and test images are shown in the same view.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_NOISE_DEVIATION = 16  # grey levels
_LEVELS = 8
_GAIN = 4


def residual(images: np.ndarray) -> np.ndarray:
    """High-pass: the image minus its mean over 3 x 3 pixels, amplified four times, around middle grey."""
    values = images.astype(np.float32)
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    size, width = images.shape[-2:]
    smooth = sum(padded[..., y : y + size, x : x + width] for y in range(3) for x in range(3)) / 9
    return _to_uint8(128 + _GAIN * (values - smooth))


def background(images: np.ndarray) -> np.ndarray:
    """A frame of an eighth of the side. The inside is middle grey, so that no shape is visible."""
    size = images.shape[-1]
    width = max(1, round(size / 8))
    framed = images.copy()
    framed[..., width : size - width, width : size - width] = 128
    return framed


def blurred(images: np.ndarray) -> np.ndarray:
    """Gaussian blur with a standard deviation of one pixel, truncated at two."""
    weights = np.exp(-0.5 * np.arange(-2, 3) ** 2.0).astype(np.float32)
    weights /= weights.sum()
    size = images.shape[-1]
    values = np.pad(images.astype(np.float32), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    values = sum(weight * values[..., at : at + size, :] for at, weight in enumerate(weights))
    return _to_uint8(sum(weight * values[..., at : at + size] for at, weight in enumerate(weights)))


def noised(images: np.ndarray) -> np.ndarray:
    """Gaussian noise of 16 grey levels, a function of the image's index."""
    noise = np.random.default_rng(0).normal(0, _NOISE_DEVIATION, images.shape).astype(np.float32)
    return _to_uint8(images + noise)


def requantized(images: np.ndarray) -> np.ndarray:
    """Eight levels of grey or colour instead of 256."""
    step = 256 // _LEVELS
    return images // step * step + step // 2


VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "residual": residual,
    "background": background,
    "blurred": blurred,
    "noised": noised,
    "requantized": requantized,
}


def view(name: str | None, images: np.ndarray) -> np.ndarray:
    """One view of the images. None is the whole image."""
    return images if name is None else VIEWS[name](np.asarray(images))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)
