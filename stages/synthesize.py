"""Stage synthesize: sample the synthetic data set of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelmint.data.storage.image_grid import grid, png
from labelmint.data.storage.tensors import save_array, save_set
from labelmint.gans import archive
from labelmint.gans.sampling import sample_dataset
from labelmint.gans.settings import Synthesis
from labelmint.runtime.atomic_files import save_bytes, save_json
from labelmint.runtime.devices import arithmetic, pick_device
from labelmint.runtime.progress import say
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths

_PREVIEW_COLUMNS = 12


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    arm: Arm
    synthesis: Synthesis
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write data/synthetic/<arm>."""
    arm, synthesis = params.arm, params.synthesis
    generator = archive.load(paths.generator(arm))
    device = pick_device(params.compute)
    with arithmetic(params.compute, device):
        sampled = sample_dataset(
            generator,
            synthesis.images_per_class,
            arm.seed,
            device,
            latent_deviation=synthesis.latent_deviation,
        )

    folder = paths.synthetic(arm)
    save_array(folder / "latent_seeds.npy", sampled.seeds)
    save_set(folder, sampled.images, sampled.labels)
    family = generator.family
    latents = f"{family.latent_size} values, {family.latent_distribution}"
    manifest = {
        "arm": arm.name,
        "classes": generator.label_spec.names,
        "labels": family.labels,
        "images_per_class": synthesis.images_per_class,
        "shape": list(generator.shape),
        "latents": f"{latents}, each image from its own seed in latent_seeds.npy",
        "latent_deviation": synthesis.latent_deviation,
        "rows": [title for title, _ in sampled.rows],
    }
    save_json(folder / "manifest.json", manifest)
    # A row with too few images repeats them.
    preview = [
        sampled.images[np.resize(indices[:_PREVIEW_COLUMNS], _PREVIEW_COLUMNS)]
        for _, indices in sampled.rows
        if len(indices)
    ]
    content = png(grid(np.stack(preview)))
    save_bytes(folder / "samples.png", content)
    tracker.log_figure("synthetic_images", content)
    tracker.log_metrics({"n_synthetic": len(sampled.images)})
    without_labels = ", without labels" if family.labels == "none" else ""
    say(f"{arm.name}: sampled {len(sampled.images):,} images{without_labels}")
