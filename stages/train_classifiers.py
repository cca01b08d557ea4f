"""Stage: train classifiers of one arm's synthetic images, alone and mixed with the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from labelmint.classifiers import archive as classifiers
from labelmint.classifiers.filtering import filtered
from labelmint.classifiers.inputs import Inputs
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.sampler import GeneratorSampler
from labelmint.classifiers.settings import Classifier
from labelmint.classifiers.sources import arm_sources
from labelmint.classifiers.training import plan, train
from labelmint.data.storage.tensors import load_set
from labelmint.gans import archive
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import arithmetic, pick_device
from labelmint.runtime.progress import say
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
    """Write data/classifiers/<arm>."""
    arm, recipe, facts = params.arm, params.classifier, load_json(paths.tensors / "dataset.json")
    sources = arm_sources(recipe.sources, recipe.sweep)
    manifest = load_json(paths.synthetic(arm) / "manifest.json")
    if manifest["labels"] == "none":
        say(f"{arm.name}: the synthetic images have no labels, so no classifier can be trained on them")
        sources = []
    real = Pool.real(*load_set(paths.tensors), arm.percent, arm.seed)
    device = pick_device(params.compute)
    sampler = GeneratorSampler(archive.load(paths.generator(arm)), manifest["latent_deviation"], device)
    generated = Pool.synthetic(*load_set(paths.synthetic(arm))), sampler
    confidence = partial(classifiers.confidence, paths.baseline(arm), "real", device=device)
    recognized = partial(filtered, confidence=confidence, threshold=recipe.filter_confidence, seed=arm.seed)
    teacher = partial(classifiers.network, paths.baseline(arm), "real")
    inputs = Inputs(real, arm.seed, recipe.real_fraction, generated, recognized, teacher)
    with arithmetic(params.compute, device):  # plan samples images, and chooses some by their confidence
        jobs = plan(sources, inputs, recipe, classes=facts["classes"], mirror=facts["mirror"], raw=paths.raw)
    seconds = train(jobs, paths.classifiers(arm), arm.name, params.compute, tracker)
    save_json(paths.timing("train_classifiers", arm), seconds)
