"""Names of arms and paths of their files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class Arm:
    """A generator trained on `percent` % of the real data, replicate `seed`.

    generator: name of the family, or "real" for a baseline, whose classifiers are trained on real images.
    """

    generator: str
    percent: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.generator}-{self.percent}-{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Arm:
        """Arm of a name such as dcgan-40-0. Raises: InputError."""
        found = re.fullmatch(r"([a-z][a-z0-9_]*)-(\d+)-(\d+)", name)
        if not found:
            raise InputError(f"'{name}' is not an arm: write GENERATOR-PERCENT-SEED, such as dcgan-40-0")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True)
class Paths:
    """Paths of one workspace. No path is created here."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw"

    @property
    def tensors(self) -> Path:
        """Training images and their metadata. Only `evaluate` opens the test images, in a folder below."""
        return self.root / "data" / "tensors"

    @property
    def test_tensors(self) -> Path:
        return self.tensors / "test"

    @property
    def validation_tensors(self) -> Path:
        """Validation images; none where the source has no such split and dataset.validation_percent is 0."""
        return self.tensors / "validation"

    @property
    def unfinished_tensors(self) -> Path:
        """Working folder of `prepare`. The next run deletes what a killed run left there."""
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
        """Classifiers trained on the same real images as `arm`."""
        return self.classifiers(Arm("real", arm.percent, arm.seed))

    def metrics(self, arm: Arm) -> Path:
        return self.root / "data" / "metrics" / f"{arm.name}.json"

    def latent_space(self, arm: Arm) -> Path:
        """Figures of an arm's latent space."""
        return self.root / "data" / "latent_space" / arm.name

    def timing(self, stage: str, arm: Arm) -> Path:
        """Seconds that a stage took: a file of its own, since a duration must not make later stages stale."""
        return self.root / "data" / "timings" / stage / f"{arm.name}.json"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of unfinished training, outside DVC's outs."""
        return self.root / ".checkpoints"

    @property
    def reports(self) -> Path:
        return self.root / "reports"
