"""The stage: mint the synthetic data set of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labelmint.data.storage.image_grid import grid, png
from labelmint.data.storage.tensors import save_array, save_set
from labelmint.gans import archive
from labelmint.gans.sampling import sample_dataset
from labelmint.gans.settings import Synthesis
from labelmint.runtime.atomic_files import save_bytes, save_json
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths

_SHOWN = 12


@dataclass(frozen=True)
class Params:
    arm: Arm
    synthesis: Synthesis


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    arm, count = params.arm, params.synthesis.images_per_class
    generators = archive.load(layout.generator(arm))
    minted = sample_dataset(generators, count, arm.seed)

    folder = layout.synthetic(arm)
    save_array(folder / "latent_seeds.npy", minted.seeds)
    save_set(folder, minted.images, minted.labels)
    family, label_spec = generators.family, generators.label_spec
    save_json(
        folder / "manifest.json",
        {
            "arm": arm.name,
            "classes": label_spec.names,
            "labels": family.labels,
            "images_per_class": count,
            "shape": list(generators.shape),
            "latents": f"{family.latent_size} values, {family.latent_distribution}, each image from its own seed in latent_seeds.npy",
            "rows": [title for title, _ in minted.rows],
        },
    )
    sheet = np.stack([minted.images[np.resize(places[:_SHOWN], _SHOWN)] for _, places in minted.rows if len(places)])
    save_bytes(folder / "samples.png", content := png(grid(sheet)))
    tracker.log_figure("minted", content)
    tracker.log_metrics({"n_synthetic": len(minted.images)})
    say(f"{arm.name}: minted {len(minted.images):,} images" + ("" if family.labels != "none" else ", without labels"))
