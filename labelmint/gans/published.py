"""Open a generator that may have come from anywhere: nothing in its files is ever run."""

from __future__ import annotations

from pathlib import Path

import torch

from labelmint.gans import archive, registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError

WEIGHTS, DESCRIPTION = "generator.safetensors", "architecture.json"
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib", ".pt2")
_LARGEST = 1024  # pixels, as dataset.image_size
_MOST_CLASSES = 20_000


def open_generator(place: Path) -> GeneratorArchive:
    """place: a folder with generator.safetensors and architecture.json.

    Raises: InputError when it is a pickle, which could run code when it is opened, or is no such generator.
    """
    if place.is_file():
        if place.suffix.lower() in _PICKLES:
            raise _pickled(place)
        raise InputError(f"{place} is a file; name the folder that holds {WEIGHTS} and {DESCRIPTION}")
    if not place.is_dir():
        raise InputError(f"{place} does not exist")
    if not (place / WEIGHTS).exists():
        others = sorted(path for path in place.iterdir() if path.suffix.lower() in _PICKLES)
        raise _pickled(others[0]) if others else InputError(f"{place} holds no {WEIGHTS}; `dvc repro` makes it")
    try:
        facts = load_json(place / DESCRIPTION)
        name = facts["family_name"]
        # It names a module: only those that are here.
        if name not in registry.NAMES:
            raise InputError(
                f"{place / DESCRIPTION}: no family '{name}' here; its file in stages/train_generators/families is missing"
            )
        if len(facts["classes"]) > _MOST_CLASSES:
            raise ValueError(f"{len(facts['classes']):,} classes; at most {_MOST_CLASSES:,}")
        found = archive.load(place)
        _check_shape(found)
        _check_fit(found)
        found.network(0)
        return found
    except InputError:
        raise
    except Exception as error:  # a description or weights made by anyone may be wrong in any way
        raise InputError(
            f"{place} is no generator that this version can read ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


def _check_shape(found: GeneratorArchive) -> None:
    channels, height, width = found.shape
    if channels not in (1, 3) or height != width or not 4 <= height <= _LARGEST:
        raise ValueError(f"images of shape {found.shape}")
    counts = {len(values) for values in found.weights.values()}
    wanted = len(found.label_spec.names) if found.label_spec.kind == "per_class" else 1
    if counts != {wanted}:
        raise ValueError(f"weights of {sorted(counts)} generators where {wanted} are described")


def _check_fit(found: GeneratorArchive) -> None:
    """That the weights are those of the network described, before it is made: it may be described larger than any memory."""
    with torch.device("meta"):
        build = registry.load(found.family_name).build_generator
        network = build(found.family, found.shape, found.label_spec.vectors.shape[1])
    for name, values in network.state_dict().items():
        have = found.weights[name].shape[1:] if name in found.weights else None
        if have != tuple(values.shape) and not name.endswith("num_batches_tracked"):
            raise ValueError(f"{name} is {'missing' if have is None else have}, described as {tuple(values.shape)}")


def _pickled(path: Path) -> InputError:
    return InputError(
        f"{path} is a pickle, which can run any code when it is opened, so it is refused; labelmint opens {WEIGHTS} with {DESCRIPTION} beside it"
    )
