"""Pictures of an arm's latent space, and what was measured in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers.fit import predict
from labelmint.data.storage.image_grid import grid, png
from labelmint.gans import archive
from labelmint.metrics import latent_space
from labelmint.runtime.atomic_files import save_bytes
from stages.paths import Arm, Paths


def draw(layout: Paths, arm: Arm, facts: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Write PNGs to the arm's folder. Returns: by name of a picture what its rows are; under `arithmetic` what was measured, or why not."""
    generators, folder = archive.load(layout.generator(arm)), layout.latent_space(arm)
    sheets = {
        "interpolation": latent_space.interpolations(generators, arm.seed),
        "labels": latent_space.grid_of_labels(generators, arm.seed),
    }
    rows = {}
    for name, sheet in sheets.items():
        if sheet is not None:
            _save(folder / f"{name}.png", sheet[0])
            rows[name] = sheet[1]
    sums, absent = _arithmetic(layout, arm, facts, generators, device)
    for number, each in enumerate(sums):
        _save(folder / f"arithmetic-{number}.png", each.images.swapaxes(0, 1))
    return {"rows": rows, "arithmetic": [each.described for each in sums], "absent": absent}


def _arithmetic(layout: Paths, arm: Arm, facts: dict[str, Any], generators: archive.GeneratorArchive, device: torch.device) -> tuple[list[latent_space.Arithmetic], list[str]]:  # fmt: skip
    if facts["labels"] != "multi_hot":
        return [], ["they need several dataset.attributes, and a classifier of them"]
    if generators.family.labels != "none":
        return [], [
            "this generator is told the attributes, so that its latents do not decide them; labels: none leaves it to them"
        ]
    folder = layout.baseline(arm)
    network = classifiers.network(folder, "real").to(device)
    decode = latent_space.decoder(generators, 0, np.zeros(0, np.float32))
    latents = latent_space.candidates(generators.family, arm.seed)
    return latent_space.arithmetic(decode, lambda images: predict(network, images, device), latents, facts["classes"], arm.seed)  # fmt: skip


def _save(path: Path, images: np.ndarray) -> None:
    save_bytes(path, png(grid(images)))
