"""Decoding of untrusted image files to grey or RGB images.

Formats are restricted, sizes are checked before pixels are decoded, and every error of a decoder becomes one
sentence.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from labelmint.data.source import BadImageError

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
_CONVERT = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "HEIC photo"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF image"),
}
"""Names of what has these brands in its `ftyp` box."""
_MIN_SIDE = 4
_MAX_PIXELS = 64_000_000  # 192 MB as RGB: several processes stay within a gigabyte
_ORIENTATION_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
_PNG_DEPTH = 24  # offset in bytes of the bit depth in a PNG
_TIFF_DEPTH = 258  # tag
_DRAFT = 3  # JPEG's own scaling shrinks to no less than this multiple of the needed size


class Decoded(NamedTuple):
    """An image of mode L or RGB. bits: those that its largest value uses of 16; 0 for images of 8 bits."""

    image: Image.Image
    bits: int = 0


def decode(content: bytes, background: int = 0, needed: int | None = None, bit_depth: int = 16) -> Decoded:
    """Decode an image file to mode L or RGB, turned upright by its EXIF orientation.

    background: grey value behind transparent pixels, 0..255.
    needed: pixels of the short side that are needed; a much larger JPEG is decoded at a reduced scale.
    bit_depth: bits that become 0..255 in images of 16 bits.
    Raises: BadImageError.
    """
    if not content:
        raise BadImageError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes and metadata that are checked or unused here
        try:
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            _check(image)
            if (
                needed is not None
                and image.format in ("JPEG", "MPO")
                and min(image.size) >= 2 * _DRAFT * needed
            ):
                image.draft(None, (needed * _DRAFT, needed * _DRAFT))
            image.load()
            if image.format == "TIFF" or not _ORIENTATION_KEYS.isdisjoint(image.info):
                ImageOps.exif_transpose(image, in_place=True)
            if image.mode == "RGB" and _has_16_bits(image, content):
                # Pillow keeps the upper 8 bits of colours.
                return _narrowed(np.asarray(image).astype(np.int64) * 257, bit_depth)
            if image.mode.startswith("I"):
                return _narrowed(np.asarray(image).astype(np.int64), bit_depth)
            return Decoded(_to_grey_or_rgb(image, background))
        except BadImageError:
            raise
        except UnidentifiedImageError as error:
            formats = f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
            raise BadImageError(f"not a {formats} image{_guess(content)}") from error
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d+", str(error))
            raise BadImageError(f"declares {int(pixels[0]) if pixels else 0:,} pixels; {_limit()}") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders raise errors of nearly every type for damaged data
            raise BadImageError(f"damaged ({' '.join(str(error).split())[:120]})") from error


def is_image_file(content: bytes) -> bool:
    """Whether a file starts as one of the formats that `decode` reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(content), formats=_FORMATS).close()
    except Exception:  # decoders raise errors of nearly every type
        return False
    return True


def _check(image: Image.Image) -> None:
    """Check what the header declares, before pixels are decoded."""
    width, height = image.size
    if width * height > _MAX_PIXELS:
        raise BadImageError(f"declares {width} x {height} pixels; {_limit()}")
    if min(width, height) < _MIN_SIDE:
        raise BadImageError(f"{width} x {height} pixels; at least {_MIN_SIDE} x {_MIN_SIDE} are needed")
    if image.mode == "CMYK":
        raise BadImageError("CMYK, colours for print; save it as RGB")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # an MPO is a phone's JPEG followed by a preview
        raise BadImageError(f"{frames} frames; save one image per file")


def _to_grey_or_rgb(image: Image.Image, background: int) -> Image.Image:
    """Convert a mode with 8 bits to L or RGB."""
    mode = image.mode
    if mode in ("L", "RGB"):
        return image
    if mode == "1":
        return image.convert("L")
    if mode == "F":
        raise BadImageError("floating-point pixels; save it with 8 or 16 bits")
    if image.has_transparency_data:
        grey = mode in ("LA", "La")
        image = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, (background, background, background, 255))
        return Image.alpha_composite(backdrop, image).convert("L" if grey else "RGB")
    return image.convert("RGB")


def _has_16_bits(image: Image.Image, content: bytes) -> bool:
    """Whether a PNG or TIFF has 16 bits for each colour."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 16 in image.tag_v2.get(_TIFF_DEPTH, ())
    return image.format == "PNG" and content[_PNG_DEPTH] == 16


def _narrowed(values: np.ndarray, bit_depth: int) -> Decoded:
    """Scale values of `bit_depth` bits, (H, W) or (H, W, 3), to 0..255."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise BadImageError(f"pixels from {low:,} to {high:,}; save it with 8 or 16 bits, without a sign")
    if high.bit_length() > bit_depth:
        raise BadImageError(f"its value {high:,} does not fit dataset.bit_depth {bit_depth}")
    white = 2**bit_depth - 1
    pixels = ((values * 255 + white // 2) // white).astype(np.uint8)
    return Decoded(Image.fromarray(pixels), high.bit_length())


def _limit() -> str:
    return f"at most {_MAX_PIXELS:,} are decoded"


def _guess(content: bytes) -> str:
    """What the file is instead of an image, for the most common cases."""
    if content[4:8] == b"ftyp" and (name := _CONVERT.get(content[8:12])):
        return f", but a {name}: convert it first, e.g. `magick photo.heic photo.jpg`"
    if content.startswith(b"GIF8"):
        return ", but a GIF"
    if content.lstrip()[:1] == b"<":
        return ", but a page of markup"
    return ", but text" if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in content[:64]) else ""
