"""The stage: classifiers that saw one arm's minted images, alone and together with the real ones."""

from __future__ import annotations

from labelmint.classifiers.synthetic_sources import names, synthetic_source
from labelmint.classifiers.training import Params, train
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.progress import say
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    arm, sources = params.arm, {}
    if load_json(layout.synthetic(arm) / "manifest.json")["labels"] == "none":
        say(f"{arm.name}: the minted images bear no labels, so that no classifier can be trained on them")
    else:
        sources = {name: synthetic_source(name, layout, arm, params.classifier) for name in names(params.classifier)}
    train(params, "train_classifiers", layout, sources, tracker)


__all__ = ["Params", "run"]
