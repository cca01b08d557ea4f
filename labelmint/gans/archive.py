"""A trained generator on disk: generator.safetensors, architecture.json, and the discriminator beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.gans import registry
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork, Optimizer
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError


@dataclass(frozen=True)
class GeneratorArchive:
    """One generator per class, in the order of wishes.names, or one for all. weights: stacked, (generators, ...) each.

    trained_on: what it saw, for those who are handed the generator without the data; empty where that was not written down.
    """

    family_name: str
    family: Family
    shape: tuple[int, int, int]
    label_spec: LabelSpec
    weights: dict[str, np.ndarray]
    trained_on: dict[str, Any] = field(default_factory=dict)

    def network(self, position: int = 0) -> torch.nn.Module:
        """Generator number `position`, in evaluation mode."""
        length = self.label_spec.vectors.shape[1]
        network = registry.load(self.family_name).build_generator(self.family, self.shape, length)
        state = {name: torch.from_numpy(values[position].copy()) for name, values in self.weights.items()}
        result = network.load_state_dict(state, strict=False)
        odd = [
            name for name in result.missing_keys if not name.endswith("num_batches_tracked")
        ] + result.unexpected_keys
        if odd:
            raise InputError(f"generator {position}: weights do not fit the architecture ({', '.join(odd)})")
        return network.eval()


def save(folder: Path, archive: GeneratorArchive, discriminators: dict[str, np.ndarray]) -> None:
    """discriminators: weights, stacked as the generators'."""
    digest = save_weights(folder / "generator.safetensors", archive.weights)
    label_spec = archive.label_spec
    save_json(
        folder / "architecture.json",
        {
            "family_name": archive.family_name,
            "family": asdict(archive.family),
            "shape": list(archive.shape),
            "labels": label_spec.kind,
            "classes": label_spec.names,
            # A class needs no list: each is wished for as often as any other.
            "label_vectors": label_spec.vectors.astype(int).tolist() if label_spec.kind == "multi_hot" else None,
            "label_frequencies": label_spec.shares.tolist() if label_spec.kind == "multi_hot" else None,
            "published": "moving average",
            "trained_on": archive.trained_on,
            "weights_sha256": digest,
            "discriminator_sha256": save_weights(folder / "discriminator.safetensors", discriminators),
        },
    )


def load(folder: Path) -> GeneratorArchive:
    """Raises: InputError when a file is missing, or the weights are not those the description names."""
    facts = load_json(folder / "architecture.json")
    weights = load_weights(folder / "generator.safetensors", facts["weights_sha256"])
    family = family_from(facts["family"])
    if family.labels == "multi_hot":
        vectors = np.array(facts["label_vectors"], np.float32)
        label_spec = LabelSpec(family.labels, facts["classes"], vectors, np.array(facts["label_frequencies"]))
    else:
        label_spec = LabelSpec.of(family, facts["classes"], np.empty(0))
    trained_on = facts.get("trained_on", {})
    return GeneratorArchive(facts["family_name"], family, tuple(facts["shape"]), label_spec, weights, trained_on)


def load_discriminators(folder: Path) -> list[torch.nn.Module]:
    """In the order of the generators; batch normalisation knows no statistics yet. Raises: InputError as `load` does."""
    archive, facts = load(folder), load_json(folder / "architecture.json")
    weights = load_weights(folder / "discriminator.safetensors", facts["discriminator_sha256"])
    build, networks = registry.load(archive.family_name).build_discriminator, []
    for position in range(len(next(iter(weights.values())))):
        network = build(archive.family, archive.shape, archive.label_spec.vectors.shape[1])
        state = {name: torch.from_numpy(values[position].copy()) for name, values in weights.items()}
        network.load_state_dict(state, strict=False)  # num_batches_tracked is not kept
        networks.append(network)
    return networks


def family_from(fields: dict[str, Any]) -> Family:
    nested = {
        "generator": GeneratorNetwork,
        "discriminator": DiscriminatorNetwork,
        "generator_optimizer": Optimizer,
        "discriminator_optimizer": Optimizer,
    }
    return Family(**{name: nested[name](**value) if name in nested else value for name, value in fields.items()})
