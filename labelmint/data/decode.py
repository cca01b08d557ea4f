"""Encoded image files, as strangers send them -> pictures in grey or RGB.

Nothing here trusts its input: formats are named, sizes are checked before pixels are made, and whatever a decoder
raises becomes one sentence.
"""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from labelmint.data.source import BadImageError

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
_LEAST_SIDE = 4
_MOST_PIXELS = 64_000_000  # a decoded RGB picture of 192 MB: several processes stay within a gigabyte
_MAY_TURN = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}  # what an orientation may be written in
_DRAFT = 3  # JPEG's own scaling may shrink to this many times the wanted size; the filter does the rest


def decode(content: bytes, background: int = 0, wanted: int | None = None) -> Image.Image:
    """A picture in mode L or RGB, upright by its EXIF orientation, transparency laid over grey `background`.

    wanted: pixels of the short side that will be needed; a much larger JPEG is decoded at a reduced scale.
    Raises: BadImageError.
    """
    if not content:
        raise BadImageError("empty file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes and metadata that are checked or unused here
        try:
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            _check(image)
            if wanted is not None and image.format in ("JPEG", "MPO") and min(image.size) >= 2 * _DRAFT * wanted:
                image.draft(None, (wanted * _DRAFT, wanted * _DRAFT))
            image.load()
            if image.format == "TIFF" or not _MAY_TURN.isdisjoint(image.info):
                ImageOps.exif_transpose(image, in_place=True)
            return _plain(image, background)
        except BadImageError:
            raise
        except UnidentifiedImageError as error:
            raise BadImageError(f"not a {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} image{_guess(content)}") from error
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d+", str(error))
            raise BadImageError(f"declares {int(pixels[0]) if pixels else 0:,} pixels; {_limit()}") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders raise nearly everything when fed damaged data
            raise BadImageError(f"damaged ({' '.join(str(error).split())[:120]})") from error


def _check(image: Image.Image) -> None:
    """What the header alone tells, before a pixel is made."""
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise BadImageError(f"declares {width} x {height} pixels; {_limit()}")
    if min(width, height) < _LEAST_SIDE:
        raise BadImageError(f"{width} x {height} pixels; at least {_LEAST_SIDE} x {_LEAST_SIDE} are needed")
    if image.mode == "CMYK":
        raise BadImageError("CMYK, colours for print; save it as RGB")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # an MPO is a phone's JPEG with a preview behind it
        raise BadImageError(f"{frames} frames; one picture a file")


def _plain(image: Image.Image, background: int) -> Image.Image:
    """Any mode of Pillow -> L or RGB."""
    mode = image.mode
    if mode in ("L", "RGB"):
        return image
    if mode == "1":
        return image.convert("L")
    if mode == "F":
        raise BadImageError("floating-point pixels; save it with 8 or 16 bits")
    if mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise BadImageError("32-bit pixels; save it with 8 or 16 bits")
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.has_transparency_data:
        grey = mode in ("LA", "La")
        picture = image.convert("RGBA")
        backdrop = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(backdrop, picture).convert("L" if grey else "RGB")
    return image.convert("RGB")


def _limit() -> str:
    return f"at most {_MOST_PIXELS:,} are decoded"


def _guess(content: bytes) -> str:
    """Why it might not be one, for the commonest cases."""
    if content.startswith(b"GIF8"):
        return ", but a GIF"
    if content.lstrip()[:1] == b"<":
        return ", but a page of markup"
    return ", but text" if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in content[:64]) else ""
