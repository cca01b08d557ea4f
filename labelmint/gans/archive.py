"""A generator on disk: generator.safetensors, architecture.json, and the discriminator beside them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.gans import registry
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.network_settings import DiscriminatorNetwork, GeneratorNetwork
from labelmint.gans.settings import Family, Optimizer
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError

_OLD_KEYS = {"label_shares": "label_frequencies", "critic_steps": "n_critic"}
"""Keys of architecture.json, and of the family's settings in it, that earlier versions wrote -> today's."""


@dataclass(frozen=True)
class GeneratorArchive:
    """Generators of each class, in the order of label_spec.names, or of all classes.

    weights: stacked, (generators, ...) each, those of one class together. trained_on: the name of the data
    set and more, for readers who receive the generator without the data; empty if unknown.
    """

    family_name: str
    family: Family
    shape: tuple[int, int, int]
    label_spec: LabelSpec
    weights: dict[str, np.ndarray]
    trained_on: dict[str, Any] = field(default_factory=dict)

    @property
    def ensemble(self) -> int:
        """Number of generators of each class, or of all classes."""
        return len(next(iter(self.weights.values()))) // self.positions

    @property
    def positions(self) -> int:
        """Number of classes that have generators of their own; 1 if the generators are for all."""
        return len(self.label_spec.names) if self.family.labels == "per_class" else 1

    def network(self, position: int = 0, member: int = 0) -> torch.nn.Module:
        """Generator of class number `position`, in evaluation mode.

        member: number of the generator among those of the class. Raises: InputError if the weights do not
        fit.
        """
        length = self.label_spec.vectors.shape[1]
        network = registry.load(self.family_name).build_generator(self.family, self.shape, length)
        state = _state(self.weights, position * self.ensemble + member)
        result = network.load_state_dict(state, strict=False)
        missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
        if wrong := missing + result.unexpected_keys:
            raise InputError(
                f"generator {position}: weights do not fit the architecture ({', '.join(wrong)})"
            )
        return network.eval()


def save(
    folder: Path, archive: GeneratorArchive, discriminators: dict[str, np.ndarray] | None = None
) -> None:
    """Write an archive. discriminators: weights, stacked as the generators'; None writes none."""
    digest = save_weights(folder / "generator.safetensors", archive.weights)
    label_spec = archive.label_spec
    multi_hot = label_spec.kind == "multi_hot"  # classes need no list: all are equally frequent
    save_json(
        folder / "architecture.json",
        {
            "family_name": archive.family_name,
            "family": asdict(archive.family),
            "shape": list(archive.shape),
            "labels": label_spec.kind,
            "classes": label_spec.names,
            "label_vectors": label_spec.vectors.astype(int).tolist() if multi_hot else None,
            "label_frequencies": label_spec.frequencies.tolist() if multi_hot else None,
            "published": "moving average",
            "trained_on": archive.trained_on,
            "weights_sha256": digest,
            "discriminator_sha256": None
            if discriminators is None
            else save_weights(folder / "discriminator.safetensors", discriminators),
        },
    )


def load(folder: Path) -> GeneratorArchive:
    """Read an archive, also of an earlier version.

    Raises: InputError if a file is missing, or the weights have another hash than the description says.
    """
    facts = _renamed(load_json(folder / "architecture.json"))
    weights = load_weights(folder / "generator.safetensors", facts["weights_sha256"])
    family = family_from(facts["family"])
    if family.labels == "multi_hot":
        vectors = np.array(facts["label_vectors"], np.float32)
        frequencies = np.array(facts["label_frequencies"])
        label_spec = LabelSpec(family.labels, facts["classes"], vectors, frequencies)
    else:
        label_spec = LabelSpec.of(family, facts["classes"], np.empty(0))
    trained_on = facts.get("trained_on", {})
    channels, height, width = facts["shape"]
    return GeneratorArchive(
        facts["family_name"], family, (channels, height, width), label_spec, weights, trained_on
    )


def load_discriminators(folder: Path) -> list[torch.nn.Module]:
    """The discriminators, in the order of the generators. Their batch normalisation has no statistics yet.

    Raises: InputError as `load` does.
    """
    archive, facts = load(folder), load_json(folder / "architecture.json")
    weights = load_weights(folder / "discriminator.safetensors", facts["discriminator_sha256"])
    build, networks = registry.load(archive.family_name).build_discriminator, []
    for position in range(len(next(iter(weights.values())))):
        network = build(archive.family, archive.shape, archive.label_spec.vectors.shape[1])
        network.load_state_dict(_state(weights, position), strict=False)  # num_batches_tracked is not stored
        networks.append(network)
    return networks


def family_from(fields: dict[str, Any]) -> Family:
    """The settings in a description, also of an earlier version."""
    nested = {
        "generator": GeneratorNetwork,
        "discriminator": DiscriminatorNetwork,
        "generator_optimizer": Optimizer,
        "discriminator_optimizer": Optimizer,
    }
    values = _renamed(fields)
    return Family(**values | {name: kind(**values[name]) for name, kind in nested.items() if name in values})


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {_OLD_KEYS.get(name, name): value for name, value in values.items()}


def _state(weights: dict[str, np.ndarray], position: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values[position].copy()) for name, values in weights.items()}
