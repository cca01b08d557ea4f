"""One image at a time: every mode of pixels, every crop and fit, against values worked out by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from labelmint.data.decode import decode
from labelmint.data.preprocess import content_hash, to_tensor
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError

RAMP = (np.arange(8)[:, None] * 30 + np.arange(8)).astype(np.uint8)


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def colours(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


class TestModes:
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF"])
    def test_lossless_formats_give_the_pixels(self, kind):
        rgb = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=2)
        options = {"lossless": True} if kind == "WEBP" else {}
        assert (colours(decode(saved(Image.fromarray(rgb), kind, **options))) == rgb).all()

    def test_grey_and_one_bit(self):
        assert decode(saved(Image.fromarray(RAMP))).mode == "L"
        bits = Image.fromarray(((RAMP > 100) * 255).astype(np.uint8)).convert("1")
        assert (colours(decode(saved(bits))) == (RAMP > 100) * 255).all()

    def test_palettes(self):
        picture = Image.new("P", (8, 8))
        picture.putpalette([10, 20, 30, 200, 100, 0])
        picture.putpixel((3, 4), 1)
        found = colours(decode(saved(picture)))
        assert found[4, 3].tolist() == [200, 100, 0] and found[0, 0].tolist() == [10, 20, 30]

    @pytest.mark.parametrize("background", [0, 255])
    def test_transparency_is_laid_over_the_background(self, background):
        picture = Image.new("RGBA", (8, 8), (200, 100, 0, 0))
        picture.putpixel((1, 2), (200, 100, 0, 255))
        found = colours(decode(saved(picture), background))
        assert found[2, 1].tolist() == [200, 100, 0] and found[0, 0].tolist() == [background] * 3
        grey = decode(saved(Image.new("LA", (8, 8), (90, 0))), background)
        assert grey.mode == "L" and (colours(grey) == background).all()
        indexed = Image.new("P", (8, 8))
        indexed.putpalette([10, 20, 30])
        assert (colours(decode(saved(indexed, transparency=0), background)) == background).all()

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bits_become_8(self, kind):
        wide = np.array([[0, 255, 256, 257], [32767, 32768, 65534, 65535]] * 2, np.uint16)
        found = colours(decode(saved(Image.fromarray(wide), kind)))
        assert found[:2].tolist() == [[0, 1, 1, 1], [127, 128, 255, 255]]

    @pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (7, 7)), (6, (0, 7)), (8, (7, 0))])
    def test_upright_by_exif(self, orientation, corner):
        picture = Image.new("RGB", (8, 8))
        picture.putpixel((0, 0), (255, 255, 255))
        exif = Image.Exif()
        exif[0x0112] = orientation
        found = colours(decode(saved(picture, exif=exif)))
        assert tuple(np.argwhere(found[..., 0] == 255)[0]) == corner

    def test_a_large_jpeg_is_shrunk_on_the_way(self):
        x, y = np.meshgrid(np.arange(960), np.arange(640))
        smooth = np.stack([128 + 100 * np.sin(x / 90), 128 + 100 * np.cos(y / 70), (x + y) / 7], axis=2)
        content = saved(Image.fromarray(smooth.astype(np.uint8)), "JPEG", quality=95)
        assert decode(content).size == (960, 640) and decode(content, wanted=16).size == (120, 80)
        params = Dataset(image_size=16, channels=3, fit="resize")
        full = Image.open(io.BytesIO(content)).resize((16, 16), Image.Resampling.BICUBIC)
        difference = to_tensor(content, params).transpose(1, 2, 0).astype(int) - np.asarray(full)
        assert abs(difference).max() <= 2

    @given(st.binary(max_size=300))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes_are_an_image_or_a_bad_image(self, content):
        with pytest.raises(BadImageError):
            decode(content)

    @given(st.data())
    @settings(max_examples=200, deadline=None)
    def test_damaged_files_never_raise_anything_else(self, data):
        kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP", "TIFF"]))
        content = bytearray(saved(Image.fromarray(np.stack([RAMP] * 3, axis=2)), kind))
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        try:
            assert decode(bytes(content)).mode in ("L", "RGB")
        except BadImageError as error:
            assert "\n" not in str(error)


class TestPreprocess:
    def test_pads_around_the_image(self):
        padded = to_tensor(np.full((2, 2), 9, np.uint8), Dataset(image_size=4, fit="pad", channels=3, background=1))
        assert padded.shape == (3, 4, 4)
        assert padded[0].tolist() == [[1, 1, 1, 1], [1, 9, 9, 1], [1, 9, 9, 1], [1, 1, 1, 1]]

    def test_will_not_crop_to_pad(self):
        with pytest.raises(BadImageError, match="28x28 pixels, more than image_size 16"):
            to_tensor(np.zeros((28, 28), np.uint8), Dataset(image_size=16, fit="pad"))

    def test_resizes_with_the_filter_that_was_named(self):
        image = np.zeros((8, 8), np.uint8)
        image[:, 4:] = 200
        hard = to_tensor(image, Dataset(image_size=16, resize_filter="nearest"))
        soft = to_tensor(image, Dataset(image_size=16, resize_filter="bilinear"))
        assert set(np.unique(hard)) == {0, 200} and len(np.unique(soft)) > 2

    def test_shrinking_is_antialiased(self):
        stripes = np.zeros((64, 64), np.uint8)
        stripes[:, ::2] = 255
        small = to_tensor(stripes, Dataset(image_size=8, resize_filter="bilinear"))
        assert small[0, :, 1:-1].min() > 120 and small[0, :, 1:-1].max() < 136

    def test_a_wide_image_becomes_square(self):
        """12 x 6 pixels: red sides, a blue middle of 6."""
        image = np.zeros((6, 12, 3), np.uint8)
        image[..., 0], image[:, 3:9, 0], image[:, 3:9, 2] = 50, 0, 50

        def fitted(fit: str) -> np.ndarray:
            return to_tensor(image, Dataset(image_size=6, channels=3, fit=fit, resize_filter="box"))

        assert (fitted("cover")[2] == 50).all() and (fitted("cover")[0] == 0).all()
        contained = fitted("contain")
        assert contained[:, [0, -1]].max() == 0  # padded above and below
        assert contained[0, 2, 0] == 50 and contained[2, 2, 3] == 50
        stretched = fitted("resize")
        assert stretched[0, :, 0].min() == 50 and stretched[2, :, 3].min() == 50

    def test_center_crop_keeps_a_share_of_each_side(self):
        image = np.zeros((20, 10), np.uint8)
        image[3:17, 1:8] = 100  # rows 3..16 of 20 and columns 1..7 of 10 are 70 %
        found = to_tensor(image, Dataset(image_size=14, crop="center", crop_percent=70, resize_filter="nearest"))
        assert (found == 100).all()

    def test_colour_becomes_grey_and_grey_becomes_colour(self):
        red = np.zeros((4, 4, 3), np.uint8)
        red[..., 0] = 255
        assert (to_tensor(red, Dataset(image_size=4)) == 76).all()  # ITU-R 601: 0.299 of 255
        assert (to_tensor(RAMP, Dataset(image_size=8, channels=3)) == RAMP).all()

    def test_a_box_that_misses_the_image(self):
        params = Dataset(name="faces", attributes=["Male"], crop="bounding_box", image_size=4)
        image = np.arange(100, dtype=np.uint8).reshape(10, 10)
        assert (to_tensor(image, params, np.array([-2, -2, 4, 4])) == image[:4, :4]).all()
        with pytest.raises(BadImageError, match="outside of its 10 x 10 pixels"):
            to_tensor(image, params, np.array([12, 0, 20, 8]))

    def test_equal_images_have_equal_hashes(self, noise):
        hashes = [content_hash(image) for image in [*noise, noise[0].copy()]]
        assert hashes[-1] == hashes[0] and len(set(hashes)) == len(noise)
        assert hashes[0] < 2**64
