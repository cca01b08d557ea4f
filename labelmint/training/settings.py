"""Settings of the training of generators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labelmint.runtime.settings import within


@dataclass(frozen=True)
class Training:
    """`training` in params.yaml.

    epochs: how often progress is logged, drawn and saved.
    images_per_epoch: real images seen per epoch and generator; null is one pass over what it has.
    batch_size: may exceed the images of a class, which then repeat within a batch.
    ema_half_life: images after which a weight's share in the published average has halved; 0 publishes the raw weights.
    learning_rate_decay: `linear` falls to zero over the second half of training, `cosine` over all of it.
    translation, cutout, brightness, contrast, saturation: DiffAugment, applied to real and minted images alike: shift and side of
        a blank square as shares of the image size; changes of light on a scale where black is -1 and white 1, and shares.
    rotation: degrees each way by which real images are turned: G learns to make turned images.
    preview_images: fixed latents drawn per row (class or attributes) and epoch.
    sync_batch_norm: under torchrun, take batch normalisation's statistics over the processes' whole batch (GPUs only).
    restarts: how often a replica whose losses are no longer finite, or that is unwell for three epochs in a row
        (collapsed, discriminator always right, generator without gradient), begins anew with another seed.
    """

    epochs: int = 10
    images_per_epoch: int | None = None
    batch_size: int = 64
    ema_half_life: int = 5000
    learning_rate_decay: Literal["none", "linear", "cosine"] = "none"
    translation: float = 0.125
    cutout: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    rotation: float = 0.0
    preview_images: int = 8
    sync_batch_norm: bool = False
    restarts: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= 100_000:
            raise ValueError(f"epochs must be 1 to 100000, got {self.epochs}")
        if self.images_per_epoch is not None and self.images_per_epoch < 1:
            raise ValueError(f"images_per_epoch must be at least 1 or null, got {self.images_per_epoch}")
        if not 2 <= self.batch_size <= 65536:
            raise ValueError(f"batch_size must be 2 to 65536 (batch normalisation needs two), got {self.batch_size}")
        if self.ema_half_life < 0:
            raise ValueError(f"ema_half_life must be 0 or more images, got {self.ema_half_life}")
        within("training", 0, 0.5, translation=self.translation)
        within("training", 0, 0.9, cutout=self.cutout, contrast=self.contrast)
        within("training", 0, 2, brightness=self.brightness, saturation=self.saturation)
        within("training", 0, 180, rotation=self.rotation)
        if not 1 <= self.preview_images <= 64:
            raise ValueError(f"preview_images must be 1 to 64, got {self.preview_images}")
        within("training", 0, 100, restarts=self.restarts)
