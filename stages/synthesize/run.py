"""The stage: mint the synthetic data set of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.prepare.files import save_json
from stages.prepare.layout import Arm, Layout
from stages.prepare.tensors import save_array, save_set
from stages.prepare.tracker import Tracker, say
from stages.synthesize.params import Synthesis
from stages.synthesize.sampling import latent_seeds, mint
from stages.train_generators import archive
from stages.train_generators.previews import grid, png


@dataclass(frozen=True)
class Params:
    arm: Arm
    synthesis: Synthesis


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    arm, count = params.arm, params.synthesis.images_per_class
    generators = archive.load(layout.generator(arm))
    seeds = [latent_seeds(count, arm.seed, label) for label in range(len(generators.classes))]
    images = [mint(generators, label, seeds[label]) for label in range(len(seeds))]

    folder = layout.synthetic(arm)
    save_set(folder, np.concatenate(images), np.repeat(np.arange(len(seeds)), count))
    save_array(folder / "latent_seeds.npy", np.concatenate(seeds))
    save_json(
        folder / "manifest.json",
        {
            "arm": arm.name,
            "classes": generators.classes,
            "images_per_class": count,
            "shape": list(generators.shape),
            "latents": f"{generators.family.latent_size} values, {generators.family.latent_distribution}, each image from its own seed in latent_seeds.npy",
        },
    )
    tracker.log_figure("minted", png(grid(np.stack([part[:12] for part in images]))))
    tracker.log_metrics({"n_synthetic": count * len(seeds)})
    say(f"{arm.name}: minted {count} images of each of {len(seeds)} classes")
