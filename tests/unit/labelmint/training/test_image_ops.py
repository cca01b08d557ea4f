"""Random operations on images."""

from __future__ import annotations

import torch

from labelmint.random_streams import Stream
from labelmint.training.image_ops import mirror


def test_mirror_flips_half_of_the_allowed_images_and_nothing_else():
    images = torch.rand(2000, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    allowed = torch.arange(2000) % 2 == 0
    result = mirror(images, allowed, Stream(0))
    flipped, same = ((result == each).flatten(1).all(1) for each in (images.flip(-1), images))
    assert (flipped | same).all()
    assert not flipped[~allowed].any()
    assert 430 < flipped[allowed].sum() < 570
