"""Open a generator from an untrusted source. Nothing in its files is ever executed."""

from __future__ import annotations

from pathlib import Path

import torch

from labelmint.gans import archive, registry
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError

WEIGHTS, DESCRIPTION = "generator.safetensors", "architecture.json"
_PICKLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib", ".pt2")
_MAX_PIXELS = 1024  # as dataset.image_size
_MAX_CLASSES = 20_000


def open_generator(folder: Path) -> GeneratorArchive:
    """Load generator.safetensors and architecture.json from a folder.

    Raises: InputError if the folder holds a pickle, which could execute code when opened, or no readable
    generator.
    """
    if folder.is_file():
        if folder.suffix.lower() in _PICKLE_SUFFIXES:
            raise _pickle_error(folder)
        raise InputError(f"{folder} is a file; name the folder that holds {WEIGHTS} and {DESCRIPTION}")
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist")
    if not (folder / WEIGHTS).exists():
        pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICKLE_SUFFIXES)
        raise (
            _pickle_error(pickles[0])
            if pickles
            else InputError(f"{folder} holds no {WEIGHTS}; `dvc repro` makes it")
        )
    try:
        description = load_json(folder / DESCRIPTION)
        family = description["family_name"]
        # The name selects a module to import, so only families that exist here are accepted.
        if family not in registry.NAMES:
            raise InputError(
                f"{folder / DESCRIPTION}: no family '{family}' here; "
                "its file in labelmint/families is missing"
            )
        if len(description["classes"]) > _MAX_CLASSES:
            raise ValueError(f"{len(description['classes']):,} classes; at most {_MAX_CLASSES:,}")
        generator = archive.load(folder)
        _check_shape(generator)
        _check_weights_fit(generator)
        generator.network(0)
        return generator
    except InputError:
        raise
    except Exception as error:  # an untrusted description or weight file may be wrong in any way
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(f"{folder} is no generator that this version can read ({reason})") from error


def _check_shape(generator: GeneratorArchive) -> None:
    channels, height, width = generator.shape
    if channels not in (1, 3) or height != width or not 4 <= height <= _MAX_PIXELS:
        raise ValueError(f"images of shape {generator.shape}")
    counts = {len(values) for values in generator.weights.values()}
    expected = generator.positions
    if len(counts) != 1 or 0 in counts or sum(counts) % expected:
        raise ValueError(f"weights of {sorted(counts)} generators, not a multiple of {expected}")


def _check_weights_fit(generator: GeneratorArchive) -> None:
    """Compare the shapes of the weights with those described, without allocating the described network."""
    with torch.device("meta"):
        build = registry.load(generator.family_name).build_generator
        network = build(generator.family, generator.shape, generator.label_spec.vectors.shape[1])
    for name, values in network.state_dict().items():
        shape = generator.weights[name].shape[1:] if name in generator.weights else None
        if shape != tuple(values.shape) and not name.endswith("num_batches_tracked"):
            found = "missing" if shape is None else shape
            raise ValueError(f"{name} is {found}, described as {tuple(values.shape)}")


def _pickle_error(path: Path) -> InputError:
    return InputError(
        f"{path} is a pickle, which can execute code when opened, so it is refused; "
        f"labelmint opens {WEIGHTS} with {DESCRIPTION} beside it"
    )
