"""How fast do the conditional families of the CIFAR-10 experiments train? One generator for all classes.

Images are random, in the number and shape of CIFAR-10's. An epoch includes its evaluation, which computes no
FID.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.cases import experiment
from benchmarks.gpu_slices.bench import Bench, Items, Precision, together

_EXPERIMENTS = {
    "projection_cgan": "evaluation_cifar10",
    "acgan": "acgan_cifar10",
    "cgan": "cgan_conv_cifar10",
}
"""Experiment by family."""
_IMAGES = 50_000


def items(bench: Bench) -> Items:
    """Families by precision."""
    kinds: tuple[Precision, ...] = ("tf32", "bf16", "fp32")
    return {
        f"{family}, {kind}": partial(train, bench, family, kind) for kind in kinds for family in _EXPERIMENTS
    }


def train(bench: Bench, family: str, kind: Precision) -> dict[str, Any]:
    """Time of a captured step and of an epoch of the experiment."""
    params = experiment(_EXPERIMENTS[family], quick=bench.tiny)
    settings, training = params.families[family], params.training
    if bench.tiny:
        training = replace(training, batch_size=8)
    options: dict[str, Any] = {"name": family, "mirrored": params.dataset.mirror == "all"}
    count = 200 if bench.tiny else _IMAGES
    with bench.precision(kind):
        (run,) = bench.runs(settings, training, (3, 32, 32), 1, bf16=kind == "bf16", images=count, **options)
        images_per_step = run.replica.images_per_step
        found = bench.time_steps(together(bench.device, [run]), images_per_step)
        started = time.perf_counter()
        run.end_of_epoch()
        evaluation = time.perf_counter() - started
    steps = -(-(training.images_per_epoch or _IMAGES) // images_per_step)
    epoch = steps * found["ms_per_step"] / 1e3 + evaluation
    return {
        "experiment": _EXPERIMENTS[family],
        "batch_size": training.batch_size,
        **found,
        "steps_per_epoch": steps,
        "seconds_of_evaluation": evaluation,
        "seconds_per_epoch": epoch,
        "epochs": training.epochs,
        "hours_of_experiment": epoch * training.epochs / 3600,
    }


def summarize(results: dict[str, Any]) -> dict[str, Any]:
    """Speed by family."""
    words = [
        f"{name}: {found['images_per_second']:,.0f} images/s, {found['seconds_per_epoch']:.3g} s an epoch"
        for name, found in results.items()
        if "images_per_second" in found
    ]
    return {"line": "; ".join(words[: len(_EXPERIMENTS)]) or "nothing measured"}
