"""The stage: the classifier that had the same real images as the arms of this percent and seed."""

from __future__ import annotations

from stages.prepare.layout import Layout
from stages.prepare.tracker import Tracker
from stages.train_classifiers.run import Params, real_pool, train


def run(params: Params, layout: Layout, tracker: Tracker) -> None:
    train(params, "train_baselines", layout, {"real": [real_pool(layout, params.arm)]}, tracker)


__all__ = ["Params", "run"]
