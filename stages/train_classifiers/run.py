"""The stage: classifiers that saw one arm's minted images, alone and together with the real ones."""

from __future__ import annotations

from stages.prepare.files import load_json
from stages.prepare.layout import Layout
from stages.prepare.tracker import Tracker, say
from stages.train_classifiers.minted_sources import minted_source, names
from stages.train_classifiers.training import Params, train


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    arm, sources = params.arm, {}
    if load_json(layout.synthetic(arm) / "manifest.json")["labels"] == "none":
        say(f"{arm.name}: the minted images bear no labels, so that no classifier can be trained on them")
    else:
        sources = {name: minted_source(name, layout, arm, params.classifier) for name in names(params.classifier)}
    train(params, "train_classifiers", layout, sources, tracker)


__all__ = ["Params", "run"]
