"""Random operations on images."""

from __future__ import annotations

import pytest
import torch

from labelmint.random_streams import Stream
from labelmint.training.diffaugment import differentiable
from labelmint.training.image_ops import cutout, mirror, translate
from labelmint.training.settings import Training


def test_mirror_flips_half_of_the_allowed_images_and_nothing_else():
    images = torch.rand(2000, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    allowed = torch.arange(2000) % 2 == 0
    result = mirror(images, allowed, Stream(0))
    flipped, same = ((result == each).flatten(1).all(1) for each in (images.flip(-1), images))
    assert (flipped | same).all()
    assert not flipped[~allowed].any()
    assert 430 < flipped[allowed].sum() < 570


class TestTranslate:
    images = torch.rand(64, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1

    def test_moves_whole_pixels_and_fills_with_black(self):
        moved = translate(self.images, 0.25, Stream(2))
        for image, original in zip(moved, self.images):
            shifts = []
            for down in range(-2, 3):
                for right in range(-2, 3):
                    expected = torch.full_like(original, -1)
                    expected[:, max(down, 0) : 8 + min(down, 0), max(right, 0) : 8 + min(right, 0)] = (
                        original[:, max(-down, 0) : 8 + min(-down, 0), max(-right, 0) : 8 + min(-right, 0)]
                    )
                    shifts.append(torch.allclose(image, expected, atol=1e-6))
            assert any(shifts)

    def test_all_25_shifts_are_drawn(self):
        dot = torch.full((2000, 1, 8, 8), -1.0)
        dot[:, :, 4, 4] = 1
        positions = translate(dot, 0.25, Stream(3)).flatten(1).argmax(1).unique()
        assert len(positions) == 25

    @pytest.mark.parametrize(("size", "largest"), [(16, 2), (20, 3), (28, 4), (32, 4)])
    def test_an_eighth_of_the_size_is_rounded_as_published(self, size, largest):
        """An eighth of 28 pixels is 3.5, and of 20 is 2.5; both are rounded up."""
        dot = torch.full((500, 1, size, size), -1.0)
        dot[:, :, size // 2, size // 2] = 1
        rows = translate(dot, 0.125, Stream(4)).amax((1, 3)).argmax(1) - size // 2
        assert rows.unique().tolist() == list(range(-largest, largest + 1))

    @pytest.mark.parametrize("fill", [-1.0, 0.0])
    def test_uncovered_pixels_have_the_value_of_the_setting(self, fill):
        training = Training(translation=0.25, translation_fill=fill)
        moved = differentiable(torch.ones(50, 1, 8, 8), training, Stream(2))
        assert moved.unique().tolist() == [fill, 1]

    def test_gradients_are_those_of_a_shift(self):
        images = self.images.clone().requires_grad_()
        translate(images, 0.25, Stream(2)).sum().backward()
        assert images.grad is not None
        assert set(images.grad.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("fraction", "side"), [(0.5, 4), (0.35, 3), (0.3, 2)])
def test_cutout_blanks_a_square_of_rounded_side_about_any_pixel(fraction, side):
    """A square that leaves the image is clipped, so sides of half the square and more occur."""
    holes = cutout(torch.ones(2000, 1, 8, 8), fraction, Stream(5)) == 0
    heights, widths = holes.any(3).sum((1, 2)), holes.any(2).sum((1, 2))
    assert torch.equal(holes.sum((1, 2, 3)), heights * widths)
    least = side // 2 if side % 2 == 0 else side - side // 2
    assert heights.unique().tolist() == widths.unique().tolist() == list(range(least, side + 1))
    assert holes.any(0).all()
