"""Decoding of image files: every mode of pixels, and damaged files."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelmint.data.decode import decode
from labelmint.data.preprocess import to_tensor
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError

RAMP = (np.arange(8)[:, None] * 30 + np.arange(8)).astype(np.uint8)
FORMATS = ["PNG", "JPEG", "BMP", "WEBP", "TIFF"]


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(content: bytes, background: int = 0) -> np.ndarray:
    return np.asarray(decode(content, background).image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF"])
def test_lossless_formats_keep_the_pixels(kind):
    rgb = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=2)
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (pixels(encoded(Image.fromarray(rgb), kind, **options)) == rgb).all()


def test_grey_and_one_bit_images():
    assert decode(encoded(Image.fromarray(RAMP))).image.mode == "L"
    bits = Image.fromarray(((RAMP > 100) * 255).astype(np.uint8)).convert("1")
    assert (pixels(encoded(bits)) == (RAMP > 100) * 255).all()


def test_palette():
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((3, 4), 1)
    found = pixels(encoded(image))
    assert found[4, 3].tolist() == [200, 100, 0]
    assert found[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("background", [0, 255])
def test_transparent_pixels_show_the_background(background):
    image = Image.new("RGBA", (8, 8), (200, 100, 0, 0))
    image.putpixel((1, 2), (200, 100, 0, 255))
    found = pixels(encoded(image), background)
    assert found[2, 1].tolist() == [200, 100, 0]
    assert found[0, 0].tolist() == [background] * 3
    grey = decode(encoded(Image.new("LA", (8, 8), (90, 0))), background).image
    assert grey.mode == "L"
    assert (np.asarray(grey) == background).all()
    indexed = Image.new("P", (8, 8))
    indexed.putpalette([10, 20, 30])
    assert (pixels(encoded(indexed, transparency=0), background) == background).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_become_8(kind):
    wide = np.array([[0, 255, 256, 257], [32767, 32768, 65534, 65535]] * 2, np.uint16)
    found = pixels(encoded(Image.fromarray(wide), kind))
    assert found[:2].tolist() == [[0, 1, 1, 1], [127, 128, 255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_bits_that_an_image_uses_become_0_to_255(kind):
    twelve = np.array([[0, 16, 2048, 4095]] * 4, np.uint16)
    content = encoded(Image.fromarray(twelve), kind)
    assert decode(content).bits == decode(content, bit_depth=12).bits == 12
    assert np.asarray(decode(content, bit_depth=12).image)[0].tolist() == [0, 1, 128, 255]
    assert np.asarray(decode(content).image)[0].tolist() == [0, 0, 8, 16]
    with pytest.raises(BadImageError, match="its value 4,095 does not fit dataset.bit_depth 11"):
        decode(content, bit_depth=11)
    assert decode(encoded(Image.fromarray(RAMP), kind)).bits == 0


def test_colours_of_16_bits():
    values = np.array([[[0, 256, 4080]] * 4] * 4, np.uint16)
    assert decode(wide_png(values), bit_depth=12).bits == 12
    assert np.asarray(decode(wide_png(values), bit_depth=12).image)[0, 0].tolist() == [0, 16, 240]
    assert np.asarray(decode(wide_png(values * 16)).image)[0, 0].tolist() == [0, 16, 255]


def wide_png(values: np.ndarray) -> bytes:
    """A PNG with 16 bits for each colour, which Pillow does not write. values: uint16 (H, W, 3)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("low", "high"), [(-1024, 3071), (0, 70_000)])
def test_values_beyond_16_bits_are_a_bad_image(low, high):
    content = encoded(
        Image.fromarray(np.array([[low, high]] * 4 + [[0, 0]] * 4, np.int32).repeat(4, 1)), "TIFF"
    )
    with pytest.raises(BadImageError, match=f"pixels from {low:,} to {high:,}; save it with 8 or 16 bits"):
        decode(content)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (7, 7)), (6, (0, 7)), (8, (7, 0))])
def test_exif_orientation_is_applied(orientation, corner):
    image = Image.new("RGB", (8, 8))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = pixels(encoded(image, exif=exif))
    assert tuple(np.argwhere(found[..., 0] == 255)[0]) == corner


def test_large_jpeg_is_decoded_at_a_reduced_scale():
    x, y = np.meshgrid(np.arange(960), np.arange(640))
    smooth = np.stack([128 + 100 * np.sin(x / 90), 128 + 100 * np.cos(y / 70), (x + y) / 7], axis=2)
    content = encoded(Image.fromarray(smooth.astype(np.uint8)), "JPEG", quality=95)
    assert decode(content).image.size == (960, 640)
    assert decode(content, needed=16).image.size == (120, 80)
    full = Image.open(io.BytesIO(content)).resize((16, 16), Image.Resampling.BICUBIC)
    reduced = to_tensor(content, Dataset(image_size=16, channels=3, fit="resize")).pixels
    assert abs(reduced.transpose(1, 2, 0).astype(int) - np.asarray(full)).max() <= 2


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_a_bad_image(content):
    with pytest.raises(BadImageError):
        decode(content)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_damaged_files_raise_nothing_but_bad_image(data):
    kind = data.draw(st.sampled_from(FORMATS))
    content = bytearray(encoded(Image.fromarray(np.stack([RAMP] * 3, axis=2)), kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    mode, message = "L", ""
    try:
        mode = decode(bytes(content)).image.mode
    except BadImageError as error:
        message = str(error)
    assert mode in ("L", "RGB")
    assert "\n" not in message
