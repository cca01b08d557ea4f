"""Random operations on images."""

from __future__ import annotations

import torch

from labelmint.random_streams import Stream
from labelmint.training.image_ops import mirror, translate


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

    def test_gradients_are_those_of_a_shift(self):
        images = self.images.clone().requires_grad_()
        translate(images, 0.25, Stream(2)).sum().backward()
        assert images.grad is not None
        assert set(images.grad.unique().tolist()) == {0.0, 1.0}
