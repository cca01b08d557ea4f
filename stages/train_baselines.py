"""The stage: the classifier that had the same real images as the arms of this percent and seed, and the controls of it."""

from __future__ import annotations

from labelmint.classifiers.settings import REAL_SOURCES
from labelmint.classifiers.sources import real_source
from labelmint.classifiers.training import Params, train
from labelmint.runtime.tracker import Tracker
from stages.paths import Paths


def run(params: Params, layout: Paths, tracker: Tracker) -> None:
    # The first is what all others are compared with, wherever params name it.
    asked = sorted((name for name in params.classifier.sources if name in REAL_SOURCES), key=REAL_SOURCES.index)
    sources = {name: real_source(name, layout, params.arm, params.classifier) for name in asked}
    train(params, "train_baselines", layout, sources, tracker)


__all__ = ["Params", "run"]
