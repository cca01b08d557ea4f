"""Do results on the device equal those on the CPU? Captured and eager, in every precision.

Every family and every classifier in miniature trains for six steps, in which learning rate, weight of the
average, images and random draws change. Errors are those of the tracked numbers, relative, and of the
weights, mean and absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from benchmarks.cases import CPU
from benchmarks.gpu_slices.bench import (
    PRECISIONS,
    SEED,
    Bench,
    Items,
    Member,
    Precision,
    one_by_one,
    together,
)
from benchmarks.gpu_slices.miniatures import CLASSES, CLASSIFIERS, STEPS, make_classifiers, make_generators
from labelmint.classifiers.feature_learner import FeatureNetworkLearner
from labelmint.classifiers.fit import ClassifierLearner
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.gans.sampling import sample_dataset
from labelmint.runtime.devices import arithmetic
from labelmint.runtime.settings import Compute
from labelmint.training.engine.together import CudaGraph, Graph
from labelmint.training.fit import fit
from labelmint.training.run import Run
from labelmint.training.settings import Training
from labelmint.training.updates import D, G
from tests.family_settings import FAMILIES, LABELS, SHAPE

LIMITS = {"fp32": 0.02, "tf32": 0.1, "bf16": 0.5}
"""Largest relative error of a tracked number at which results count as equal."""

_ON_CPU = Compute("cpu", workers=1)
_SMALLEST = 0.05
"""Numbers below it are compared by their absolute error over it."""


@dataclass(frozen=True)
class State:
    """What training has changed. tracked: numbers that training reports, (N,). weights: (M,)."""

    tracked: torch.Tensor
    weights: torch.Tensor

    def errors(self, expected: State) -> dict[str, float]:
        difference = (self.tracked - expected.tracked).abs()
        return {
            "relative_error_of_tracked": (difference / expected.tracked.abs().clamp(_SMALLEST)).max().item(),
            "mean_error_of_weights": (self.weights - expected.weights).abs().mean().item(),
        }


def generator_state(run: Run) -> State:
    learner = run.learner
    tensors = [*learner.weights[G], *learner.weights[D], *learner.average, *learner.directions[D]]
    return State(torch.tensor(learner.means(STEPS)), _flat(tensors))


def classifier_state(learner: ClassifierLearner) -> State:
    return State(_flat([learner.loss_sum]) / STEPS, _flat(learner.network.state_dict().values()))


def _flat(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().double().cpu().flatten() for tensor in tensors])


def compare(
    bench: Bench,
    make: Callable[[torch.device, bool], Sequence[Any]],
    state: Callable[[Any], State],
    expected: Callable[[], list[State]],
    kind: Precision,
) -> dict[str, Any]:
    """Errors of the members that `make` returns, captured and eager, against the CPU and each other."""

    def train(step_of: Callable[[Sequence[Member]], Callable[[], object]]) -> list[State]:
        with bench.precision(kind):
            members = make(bench.device, kind == "bf16")
            step = step_of(members)
            for _ in range(STEPS):
                step()
        return [state(member) for member in members]

    captured = train(partial(together, bench.device, graph_class=graph_class(bench)))
    eager = train(one_by_one)
    found = {
        "captured": _largest(captured, expected()),
        "eager": _largest(eager, expected()),
        "captured_against_eager": _largest(captured, eager),
    }
    error = max(found[way]["relative_error_of_tracked"] for way in ("captured", "eager"))
    return {**found, "equal": error < LIMITS[kind] and bool(np.isfinite(error))}


def graph_class(bench: Bench) -> type[Graph]:
    """What records steps. On a CPU a recording has a CUDA graph's semantics."""
    from tests.tape import Tape

    return CudaGraph if bench.is_cuda else Tape


def _largest(found: list[State], expected: list[State]) -> dict[str, float]:
    errors = [own.errors(other) for own, other in zip(found, expected, strict=True)]
    return {name: float(np.max([each[name] for each in errors])) for name in errors[0]}


def feature_network(bench: Bench) -> dict[str, Any]:
    """Errors of the feature network, which trains without a graph."""
    labels = np.arange(200) % CLASSES
    images = bench.random_images(len(labels), SHAPE)

    def train(device: torch.device) -> State:
        learner = FeatureNetworkLearner(
            FeatureNetwork(steps=STEPS, batch_size=16),
            images,
            labels,
            [True] * CLASSES,
            rows=np.arange(len(labels)),
            device=device,
            resident=device.type != "cpu",
        )
        with bench.precision("fp32"):
            for _ in range(STEPS):
                learner.prepare()
                learner.step()
        weights = _flat(learner.network.state_dict().values())
        return State(weights.abs().mean().view(1), weights)

    errors = train(bench.device).errors(train(CPU))
    return {"eager": errors, "equal": errors["relative_error_of_tracked"] < LIMITS["fp32"]}


def sampling(bench: Bench) -> dict[str, Any]:
    """Grey levels by which images sampled on the device differ from those sampled on the CPU."""
    images, labels = bench.random_images(60, SHAPE), np.arange(60) % LABELS
    training = Training(epochs=1, images_per_epoch=8, batch_size=8)
    names = [str(label) for label in range(LABELS)]
    generators = fit(images, labels, names, "dcgan", FAMILIES["dcgan"], training=training, compute=_ON_CPU)
    with bench.precision("fp32"):
        found, expected = (sample_dataset(generators, 50, SEED, each) for each in (bench.device, CPU))
    difference = np.abs(found.images.astype(int) - expected.images)
    mean, largest = float(difference.mean()), int(difference.max())
    return {"mean_grey_levels": mean, "largest_grey_levels": largest, "equal": largest <= 1}


def deterministic(bench: Bench) -> dict[str, Any]:
    """Whether two trainings in `compute.deterministic` have the same bits."""

    def train() -> list[State]:
        with arithmetic(Compute(deterministic=True), bench.device):
            runs = make_generators(bench, list(FAMILIES)[: 2 if bench.tiny else None], bench.device, False)
            learners = make_classifiers(bench, list(CLASSIFIERS), bench.device, False)
            step = together(bench.device, [*runs, *learners], graph_class(bench))
            for _ in range(STEPS):
                step()
        return [*map(generator_state, runs), *map(classifier_state, learners)]

    pairs = zip(train(), train(), strict=True)
    return {"equal": all(torch.equal(first.weights, second.weights) for first, second in pairs)}


def items(bench: Bench) -> Items:
    """One per subject and precision: every family, all families together, every classifier."""
    subjects: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
        **{name: (make_generators, generator_state, (name,)) for name in FAMILIES},
        "all families together": (make_generators, generator_state, tuple(FAMILIES)),
        **{name: (make_classifiers, classifier_state, (name,)) for name in CLASSIFIERS},
        "all classifiers together": (make_classifiers, classifier_state, tuple(CLASSIFIERS)),
    }
    if bench.tiny:  # slow on a CPU, and no other result
        del subjects["all families together"], subjects["all classifiers together"]

    @cache
    def expected(subject: str) -> list[State]:
        make, state, names = subjects[subject]
        members = make(bench, names, CPU, False)
        step = one_by_one(members)
        for _ in range(STEPS):
            step()
        return [state(member) for member in members]

    def item(subject: str, kind: Precision) -> dict[str, Any]:
        make, state, names = subjects[subject]
        return compare(
            bench,
            lambda device, bf16: make(bench, names, device, bf16),
            state,
            partial(expected, subject),
            kind,
        )

    measured: Items = {}
    for kind in PRECISIONS:
        for subject in subjects:
            if not bench.is_cuda and kind == "tf32":
                continue  # a CPU has no such precision
            measured[f"{subject}, {kind}"] = partial(item, subject, kind)
        if kind == "fp32":
            measured["feature network, fp32"] = partial(feature_network, bench)
            measured["sampling, fp32"] = partial(sampling, bench)
            measured["twice, deterministic"] = partial(deterministic, bench)
    return measured


def summarize(results: dict[str, Any]) -> dict[str, Any]:
    """Subjects that differ from the CPU or failed, and the largest errors by precision."""
    failed = [name for name, found in results.items() if "error" in found]
    different = [name for name, found in results.items() if not found.get("equal", "error" in found)]
    errors: dict[str, float] = {}
    for kind in PRECISIONS:
        found = [
            each[way]["relative_error_of_tracked"]
            for name, each in results.items()
            for way in ("captured", "eager")
            if name.endswith(kind) and way in each
        ]
        if found:
            errors[kind] = float(np.max(found))
    words = ", ".join(f"{kind} {error:.2g}" for kind, error in errors.items())
    line = f"{len(results) - len(failed) - len(different)} of {len(results)} equal the CPU"
    line += f"; largest relative errors: {words}"
    line += f"; different: {', '.join(different)}" if different else ""
    line += f"; failed: {', '.join(failed)}" if failed else ""
    return {
        "correct": not failed and not different,
        "different": different,
        "failed": failed,
        "largest_relative_error_of_tracked": errors,
        "line": line,
    }
