"""A classifier on disk by itself: classifier.safetensors, and classifier.json with all that describes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from labelmint.classifiers.archive import params_of
from labelmint.classifiers.job import build
from labelmint.classifiers.settings import Classifier
from labelmint.data.settings import Dataset
from labelmint.data.storage.weights import load_weights, save_weights
from labelmint.runtime.atomic_files import load_json, parsing, save_json
from labelmint.runtime.errors import InputError

WEIGHTS, DESCRIPTION = "classifier.safetensors", "classifier.json"


@dataclass(frozen=True)
class Description:
    """What a classifier is.

    recipe: its settings. shape: (C, S, S) of the images. classes: names of its outputs. multi_hot: whether
    they are attributes, which do not exclude each other. preparation: how images were converted to `shape`,
    or None if it was trained on arrays. steps, best_step: optimizer steps, and that of the weights.
    """

    recipe: Classifier
    shape: tuple[int, int, int]
    classes: list[str]
    multi_hot: bool
    preparation: Dataset | None
    steps: int
    best_step: int


def save(folder: Path, network: torch.nn.Module, description: Description) -> None:
    """Write both files. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous().cpu().numpy() for name, value in network.state_dict().items()}
    digest = save_weights(folder / WEIGHTS, weights)
    save_json(folder / DESCRIPTION, asdict(description) | {"weights_sha256": digest})


def load(folder: Path) -> tuple[torch.nn.Module, Description]:
    """Open a classifier; nothing in its files is executed.

    Raises: InputError if the folder holds none that this version can read.
    """
    if not (folder / DESCRIPTION).is_file():
        raise InputError(f"{folder} holds no {DESCRIPTION}; name the folder of a saved classifier")
    content: dict[str, Any] = load_json(folder / DESCRIPTION)
    with parsing(folder / DESCRIPTION):
        channels, height, width = map(int, content["shape"])
        preparation = content["preparation"]
        description = Description(
            recipe=params_of({"params": content["recipe"]}),
            shape=(channels, height, width),
            classes=[str(name) for name in content["classes"]],
            multi_hot=bool(content["multi_hot"]),
            preparation=None if preparation is None else Dataset(**preparation),
            steps=int(content["steps"]),
            best_step=int(content["best_step"]),
        )
        digest = str(content["weights_sha256"])
    weights = load_weights(folder / WEIGHTS, digest)
    network = build(description.recipe, description.shape, len(description.classes), None)
    try:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    except RuntimeError as error:
        raise InputError(f"{folder / WEIGHTS} does not fit {DESCRIPTION}: {str(error)[:200]}") from error
    return network.eval(), description
