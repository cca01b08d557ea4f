"""Where things lie, and what an arm is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Arm:
    """One generator trained on `percent` % of the real data, replicate `seed`. `generator` is "real" for a baseline."""

    generator: str
    percent: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.generator}-{self.percent}-{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Arm:
        found = re.fullmatch(r"([a-z][a-z0-9_]*)-(\d+)-(\d+)", name)
        if not found:
            raise InputError(f"'{name}' is not an arm: write GENERATOR-PERCENT-SEED, such as dcgan-40-0")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Paths:
    """Paths of one workspace. Nothing is created here."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def tensors(self) -> Path:
        """Training images and what is known of them. The test set has its own folder, which only `evaluate` opens."""
        return self.root / "data" / "tensors"

    @property
    def test_tensors(self) -> Path:
        return self.tensors / "test"

    @property
    def validation_tensors(self) -> Path:
        """Empty unless the source has a validation split or dataset.validation_percent asks for one."""
        return self.tensors / "validation"

    @property
    def unfinished_tensors(self) -> Path:
        """Where `prepare` works; what it leaves there when it is killed is thrown away by the next run."""
        return self.root / "data" / ".prepare"

    @property
    def feature_network(self) -> Path:
        return self.root / "data" / "feature_network"

    def generator(self, arm: Arm) -> Path:
        return self.root / "data" / "generators" / arm.name

    def synthetic(self, arm: Arm) -> Path:
        return self.root / "data" / "synthetic" / arm.name

    def classifiers(self, arm: Arm) -> Path:
        return self.root / "data" / "classifiers" / arm.name

    def baseline(self, arm: Arm) -> Path:
        """The classifiers that had the same real images as `arm`."""
        return self.classifiers(Arm("real", arm.percent, arm.seed))

    def metrics(self, arm: Arm) -> Path:
        return self.root / "data" / "metrics" / f"{arm.name}.json"

    def latent_space(self, arm: Arm) -> Path:
        """Pictures of what lies between an arm's latents."""
        return self.root / "data" / "latent_space" / arm.name

    def timing(self, stage: str, arm: Arm) -> Path:
        """Seconds spent. Apart from all else, since a duration must never change what comes after it."""
        return self.root / "data" / "timings" / stage / f"{arm.name}.json"

    @property
    def checkpoints(self) -> Path:
        """Progress of what is being trained, outside DVC's outs."""
        return self.root / ".checkpoints"

    @property
    def reports(self) -> Path:
        return self.root / "reports"
