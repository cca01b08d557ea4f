"""Stage: train the classifiers of real images that the arms of one percent and seed are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.sources import baseline_sources
from labelmint.classifiers.training import plan, train
from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.settings import Compute
from labelmint.runtime.tracker import Tracker
from stages.paths import Arm, Paths


@dataclass(frozen=True)
class Params:
    """The parts of params.yaml that this stage depends on."""

    arm: Arm
    classifier: Classifier
    compute: Compute


def run(params: Params, paths: Paths, tracker: Tracker) -> None:
    """Write data/classifiers/real-<percent>-<seed>."""
    arm, recipe, facts = params.arm, params.classifier, load_json(paths.tensors / "dataset.json")
    part = partial(Pool.real, *load_set(paths.tensors), seed=arm.seed)
    curve = recipe.learning_curve if arm.percent == recipe.learning_curve_percent else []
    inputs = Inputs(part(arm.percent), arm.seed, recipe.real_fraction, part=part)
    sources = baseline_sources(recipe.sources, curve)
    jobs = plan(sources, inputs, recipe, classes=facts["classes"], mirror=facts["mirror"], raw=paths.raw)
    seconds = train(jobs, paths.classifiers(arm), arm.name, params.compute, tracker)
    save_json(paths.timing("train_baselines", arm), seconds)
