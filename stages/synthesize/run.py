"""The stage: mint the synthetic data set of one arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.prepare.files import save_bytes, save_json
from stages.prepare.layout import Arm, Layout
from stages.prepare.tensors import save_array, save_set
from stages.prepare.tracker import Tracker, say
from stages.synthesize.params import Synthesis
from stages.synthesize.sampling import mint_set
from stages.train_generators import archive
from stages.train_generators.previews import grid, png

_SHOWN = 12


@dataclass(frozen=True)
class Params:
    arm: Arm
    synthesis: Synthesis


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    arm, count = params.arm, params.synthesis.images_per_class
    generators = archive.load(layout.generator(arm))
    minted = mint_set(generators, count, arm.seed)

    folder = layout.synthetic(arm)
    save_array(folder / "latent_seeds.npy", minted.seeds)
    save_set(folder, minted.images, minted.labels)
    family, wishes = generators.family, generators.wishes
    save_json(
        folder / "manifest.json",
        {
            "arm": arm.name,
            "classes": wishes.names,
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
