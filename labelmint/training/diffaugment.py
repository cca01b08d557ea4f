"""Differentiable augmentation of real and generated images alike (Zhao et al. 2020, "DiffAugment").

None of it turns a digit into another one, so it needs no permission by class, unlike `mirror`.
"""

from __future__ import annotations

import torch

from labelmint.random_streams import Stream
from labelmint.training.image_ops import cutout, translate, uniform_per_image
from labelmint.training.settings import Training


def differentiable(images: torch.Tensor, params: Training, stream: Stream) -> torch.Tensor:
    """Augment images, float (N, C, H, W) in [-1, 1].

    Operations that `params` sets to 0 draw no random numbers.
    """
    if params.brightness:
        images = images + params.brightness * uniform_per_image(images, stream)
    if params.saturation and images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * (1 + params.saturation * uniform_per_image(images, stream))
    if params.contrast:
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * (1 + params.contrast * uniform_per_image(images, stream))
    if params.translation:
        images = translate(images, params.translation, stream, params.translation_fill)
    return cutout(images, params.cutout, stream) if params.cutout else images


def augments(params: Training) -> bool:
    """Whether `differentiable` changes anything."""
    return any((params.brightness, params.saturation, params.contrast, params.translation, params.cutout))
