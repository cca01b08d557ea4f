"""Params of minting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Synthesis:
    """`synthesis` in params.yaml. images_per_class: how many to mint of each class."""

    images_per_class: int = 1000

    def __post_init__(self) -> None:
        if not 2 <= self.images_per_class <= 10_000_000:
            raise ValueError(f"images_per_class must be 2 to 10000000, got {self.images_per_class}")
