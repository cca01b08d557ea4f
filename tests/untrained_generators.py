"""Small untrained generators of every type of labels, and what is written with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from labelmint.gans import registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.gans.conditioning import LabelSpec
from labelmint.gans.initialization import initialize
from labelmint.gans.settings import Family
from tests.tiny_families import FAMILIES, SHAPE

CLASSES = ["cat", "dog", "T-shirt/top"]
ATTRIBUTES = ["Male", "Smiling", "Young"]
FAMILY_NAMES = {"per_class": "dcgan", "conditional": "cgan", "multi_hot": "attribute_cgan", "none": "dcgan"}
FAMILY_OF = {
    **{label_type: FAMILIES[name] for label_type, name in FAMILY_NAMES.items()},
    "none": replace(FAMILIES["dcgan"], labels="none"),
}
"""Settings of a small family by type of labels."""

_TRAINED_ON = {
    **{"name": "pets", "title": "Pets", "licence": "CC BY 4.0"},
    **{"percent": 40, "seed": 0, "images": 12, "images_sha256": "ab" * 32},
}


def untrained(
    label_type: str,
    shape: tuple[int, int, int] = SHAPE,
    family: Family | None = None,
    name: str = "",
    ensemble: int = 1,
) -> GeneratorArchive:
    """Generators with random weights.

    If the labels are attributes, half of the real images are Smiling+Young.
    family, name: settings and name of the family; by default those of the type of labels.
    """
    family, name = family or FAMILY_OF[label_type], name or FAMILY_NAMES[label_type]
    labels = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0]])
    names = list(ATTRIBUTES if label_type == "multi_hot" else CLASSES)
    label_spec = LabelSpec.of(family, names, labels)
    states = []
    for seed in range(ensemble * (len(CLASSES) if label_type == "per_class" else 1)):
        network = registry.load(name).build_generator(family, shape, label_spec.vectors.shape[1])
        initialize(network, "glorot_uniform", torch.Generator().manual_seed(seed))
        states.append({key: value.numpy() for key, value in network.state_dict().items() if value.ndim})
    weights = {key: np.stack([state[key] for state in states]) for key in states[0]}
    return GeneratorArchive(name, family, shape, label_spec, weights, dict(_TRAINED_ON))


def file_tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
