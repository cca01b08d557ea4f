"""How long does experiments/mnist.yaml take at one fraction of the real data, stage by stage?

The whole pipeline runs in this process, with one worker, at growing sizes, as long as the next size fits
into the time. A size is a fraction of the experiment's steps and images; networks and batches are the
experiment's.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cases import experiment
from benchmarks.gpu_slices.bench import SEED, Bench, Items, NotNowError
from benchmarks.in_process import has_files, mirror, run_stage
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.settings import Compute
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from pipeline.settings.schema import Params

PERCENT = 100
_GROWTH = 4
_SIZES = {"1/64": 1 / 64, "1/16": 1 / 16, "1/4": 1 / 4, "full": 1.0}
_TINY = {"tiny": 1 / 1000}
_FILES = ("MNIST/raw/train-images-idx3-ubyte*", "train-images-idx3-ubyte*")
_IMAGES_PER_CLASS = 7000
"""At least as many as any class of MNIST has."""


def items(bench: Bench) -> Items:
    """The pipeline by size; each size needs the smaller one, which says how long it will take."""
    sizes = _TINY if bench.tiny else _SIZES
    before: dict[str, str] = dict(zip(list(sizes)[1:], sizes))
    return {name: partial(measure, bench, size, before.get(name)) for name, size in sizes.items()}


def measure(bench: Bench, size: float, smaller: str | None) -> dict[str, Any]:
    """Seconds by stage at one size. smaller: name of the size before, or None."""
    if smaller is not None:
        expected = _GROWTH * bench.results.get(smaller, {}).get("total_seconds", float("inf"))
        if expected > bench.seconds_left():
            raise NotNowError(f"expected to take {expected:.0f} s, and {bench.seconds_left():.0f} s are left")
    full = experiment("mnist", quick=bench.tiny)
    params = sized(full, size, "mnist" if has_files(bench.data, *_FILES) else "digits")
    # One worker: a fork is unsafe beside this process's threads.
    compute = Compute("cuda" if bench.is_cuda else "cpu", workers=1)
    with tempfile.TemporaryDirectory() as folder, mirror(bench.data):
        paths = Paths(Path(folder))
        seconds, arm = run(replace(params, compute=compute), paths)
        rows = load_json(paths.metrics(arm))["rows"]
    return {
        "size": size,
        "changed": changes(full, params),
        "seconds": seconds,
        "total_seconds": sum(seconds.values()),
        "accuracy": {row["source"]: row["accuracy"] for row in rows},
        "frechet_classifier": {row["source"]: row.get("frechet_classifier") for row in rows},
    }


def sized(params: Params, size: float, dataset: str) -> Params:
    """Settings of one arm at a fraction of the steps and images. dataset: mnist, or digits in its place."""
    training = params.training
    images = size * training.epochs * (training.images_per_epoch or 0)
    epochs = max(1, round(size * training.epochs))
    per_class = None if size == 1 else max(40, round(size * _IMAGES_PER_CLASS))
    return replace(
        params,
        dataset=replace(params.dataset, name=dataset, images_per_class=per_class),
        percents=[PERCENT],
        seeds=[SEED],
        training=replace(training, epochs=epochs, images_per_epoch=max(1, round(images / epochs))),
        synthesis=replace(
            params.synthesis, images_per_class=max(20, round(size * params.synthesis.images_per_class))
        ),
        classifier=replace(params.classifier, steps=max(8, round(size * params.classifier.steps))),
        feature_network=replace(
            params.feature_network, steps=max(8, round(size * params.feature_network.steps))
        ),
    )


def changes(full: Params, params: Params) -> dict[str, list[Any]]:
    """Settings that were cut: their values in the experiment and here."""
    names = (
        "dataset.name",
        "dataset.images_per_class",
        "percents",
        "seeds",
        "training.epochs",
        "training.images_per_epoch",
        "synthesis.images_per_class",
        "classifier.steps",
        "feature_network.steps",
    )

    def value(of: Any, name: str) -> Any:
        for part in name.split("."):
            of = getattr(of, part)
        return of

    pairs = {name: [value(full, name), value(params, name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def run(params: Params, paths: Paths) -> tuple[dict[str, float], Arm]:
    """Run all stages of one arm but the report. Returns: seconds by stage, and the arm."""
    arm, baseline = Arm(params.generators[0], PERCENT, SEED), Arm("real", PERCENT, SEED)
    stages = {
        "prepare": None,
        "train_feature_network": None,
        "train_generators": arm,
        "synthesize": arm,
        "train_baselines": baseline,
        "train_classifiers": arm,
        "evaluate": arm,
    }
    seconds = {name: run_stage(name, params, paths, of) for name, of in stages.items()}
    return seconds, arm


def summarize(results: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the largest size, and those of the full experiment as the last two sizes extrapolate."""
    done = [(name, found) for name, found in results.items() if "seconds" in found]
    if not done:
        return {"line": "nothing measured"}
    name, last = done[-1]
    slowest = max(last["seconds"], key=lambda stage: last["seconds"][stage])
    data = " of digits, as MNIST's files are missing" if "dataset.name" in last["changed"] else ""
    words = (
        f"{name}{data}: {last['total_seconds']:.0f} s, of which {last['seconds'][slowest]:.0f} s {slowest}"
    )
    if len(done) == 1 or last["size"] == 1:
        return {"line": words}
    before = done[-2][1]
    extrapolated = {
        stage: spent
        + (1 - last["size"]) * (spent - before["seconds"][stage]) / (last["size"] - before["size"])
        for stage, spent in last["seconds"].items()
    }
    total = sum(extrapolated.values())
    return {
        "extrapolated_seconds": extrapolated,
        "line": f"{words}; extrapolated to all steps and images {total:.0f} s",
    }
