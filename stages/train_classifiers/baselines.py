"""The stage: the classifier that had the same real images as the arms of this percent and seed, and the controls of it."""

from __future__ import annotations

from stages.prepare.layout import Layout
from stages.prepare.tracker import Tracker
from stages.train_classifiers.params import REAL_SOURCES
from stages.train_classifiers.sources import real_source
from stages.train_classifiers.training import Params, train


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    # The first is what all others are compared with, wherever params name it.
    asked = sorted((name for name in params.classifier.sources if name in REAL_SOURCES), key=REAL_SOURCES.index)
    sources = {name: real_source(name, layout, params.arm, params.classifier) for name in asked}
    train(params, "train_baselines", layout, sources, tracker)


__all__ = ["Params", "run"]
