"""A trained generator on disk: generator.safetensors and architecture.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.prepare.errors import InputError
from stages.prepare.files import load_json, save_json
from stages.prepare.weights import load_weights, save_weights
from stages.train_generators import families
from stages.train_generators.params import Adam, DiscriminatorNetwork, Family, GeneratorNetwork


@dataclass(frozen=True)
class GeneratorArchive:
    """One generator per class, in the order of `classes`. weights: stacked, (classes, ...) each."""

    family_name: str
    family: Family
    shape: tuple[int, int, int]
    classes: list[str]
    weights: dict[str, np.ndarray]

    def network(self, position: int) -> torch.nn.Module:
        """The generator of class number `position`, in evaluation mode."""
        network = families.load(self.family_name).build_generator(self.family, self.shape)
        state = {name: torch.from_numpy(values[position].copy()) for name, values in self.weights.items()}
        result = network.load_state_dict(state, strict=False)
        odd = [
            name for name in result.missing_keys if not name.endswith("num_batches_tracked")
        ] + result.unexpected_keys
        if odd:
            raise InputError(
                f"generator of class {self.classes[position]}: weights do not fit the architecture ({', '.join(odd)})"
            )
        return network.eval()


def save(folder: Path, archive: GeneratorArchive) -> None:
    digest = save_weights(folder / "generator.safetensors", archive.weights)
    save_json(
        folder / "architecture.json",
        {
            "family_name": archive.family_name,
            "family": asdict(archive.family),
            "shape": list(archive.shape),
            "classes": archive.classes,
            "published": "moving average",
            "weights_sha256": digest,
        },
    )


def load(folder: Path) -> GeneratorArchive:
    """Raises: InputError when a file is missing, or the weights are not those the description names."""
    facts = load_json(folder / "architecture.json")
    weights = load_weights(folder / "generator.safetensors", facts["weights_sha256"])
    return GeneratorArchive(
        facts["family_name"], family_from(facts["family"]), tuple(facts["shape"]), facts["classes"], weights
    )


def family_from(fields: dict[str, Any]) -> Family:
    nested = {
        "generator": GeneratorNetwork,
        "discriminator": DiscriminatorNetwork,
        "generator_optimizer": Adam,
        "discriminator_optimizer": Adam,
    }
    return Family(**{name: nested[name](**value) if name in nested else value for name, value in fields.items()})
