"""What are synthetic images worth after four minutes of a GPU? A row for each data set and classifier.

Each slice trains an experiment's generators for about half of its time, samples a set, and trains the same
classifier on the real images and on the synthetic ones, and distils the first on the synthetic ones
(synthetic_distilled). Two short trainings beforehand tell how long a step takes.
Settings but the numbers of steps are the experiment's; none was chosen on test images here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import experiment
from benchmarks.gpu_slices.bench import SEED, Bench, Items, NotNowError
from benchmarks.in_process import has_files, mirror, run_stage
from labelmint.classifiers import archive, targets
from labelmint.data.storage.tensors import load_set
from labelmint.metrics import accuracy
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.devices import arithmetic
from labelmint.runtime.settings import Compute, flat
from stages.paths import Arm, Paths

if TYPE_CHECKING:
    from labelmint.data.settings import Dataset
    from pipeline.settings.schema import Params

_GENERATORS, _CLASSIFIERS = 0.5, 0.35
"""Fractions of the time that is left after the data set is prepared."""
_SHORT, _TINY = (40, 120), (1, 2)
"""Steps of the two short trainings; of the tiny form."""
_EPOCHS = 5
_CIFAR10_IMAGES = "cifar10-images*.tar"
"""An archive with the folders train/CLASS and test/CLASS, in place of the published files."""
_FILES = {
    "mnist": ("MNIST/raw/train-images-idx3-ubyte*",),
    "fashion_mnist": ("FashionMNIST/raw/train-images-idx3-ubyte*",),
    "cifar10": ("cifar-10-binary.tar.gz", _CIFAR10_IMAGES),
}
_SOURCES = ("real", "synthetic", "synthetic_distilled")
_COLUMNS = ("accuracy", "accuracy_low", "accuracy_high", "worst_class_recall")


@dataclass(frozen=True)
class Worth:
    """A slice with a row per classifier and source of images.

    base: the experiment. networks: of the classifiers; empty: the experiment's.
    """

    base: str
    percent: int
    networks: tuple[str, ...] = ()

    def items(self, bench: Bench) -> Items:
        return {"rows": partial(measure, bench, self)}

    def summarize(self, results: dict[str, Any]) -> dict[str, Any]:
        rows = results.get("rows", {}).get("rows", [])
        words = [
            f"{row['network']} of {row['source']} {100 * row['accuracy']:.2f} % "
            f"[{100 * row['accuracy_low']:.2f}, {100 * row['accuracy_high']:.2f}]"
            for row in rows
        ]
        return {"line": "; ".join(words) or "nothing measured"}


SLICES = {
    "mnist-40": Worth("best_mnist", 40),
    "mnist-100": Worth("best_mnist", 100),
    "fashion-40": Worth("best_fashion", 40),
    "cifar10-100": Worth("best_cifar10", 100, ("efficientnet-b0", "torchvision/resnet18")),
}


def measure(bench: Bench, chosen: Worth) -> dict[str, Any]:
    """Train, sample, classify. Raises: NotNowError if the data set's files are missing."""
    full = experiment(chosen.base, quick=bench.tiny)
    params = replace(
        full,
        dataset=_dataset(bench, full.dataset),
        compute=Compute("cuda" if bench.is_cuda else "cpu", workers=1),
    )
    if bench.tiny:
        params = replace(
            params,
            training=replace(params.training, batch_size=8),
            synthesis=replace(params.synthesis, images_per_class=4),
            classifier=replace(params.classifier, batch_size=8),
        )
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, mirror(bench.data):
        paths, arm = Paths(Path(folder)), Arm(full.generators[0], chosen.percent, SEED)
        seconds["prepare"] = run_stage("prepare", params, paths)
        left = bench.seconds_left()
        steps = _affordable(bench, _GENERATORS * left, lambda count: _train(params, paths, arm, count))
        seconds["train_generators"] = _train(params, paths, arm, steps)
        seconds["synthesize"] = run_stage("synthesize", params, paths, arm)
        rows, networks = [], chosen.networks or (params.classifier.network,)
        for network in networks:
            found, spent = _classify(bench, params, paths, arm, network, _CLASSIFIERS * left / len(networks))
            rows += found
            seconds |= spent
    return {
        "rows": rows,
        "steps_of_generators": steps,
        "seconds": seconds,
        "seed": SEED,
        "percent": chosen.percent,
        "settings": flat(
            {"experiment": chosen.base, "dataset": params.dataset.name, "training": asdict(params.training)}
        ),
    }


def _dataset(bench: Bench, dataset: Dataset) -> Dataset:
    """The experiment's data set, or digits in the tiny form."""
    if bench.tiny:
        return replace(dataset, name="digits", images_per_class=20)
    if not has_files(bench.data, *_FILES[dataset.name]):
        raise NotNowError(f"{bench.data} has no files of {dataset.name}, and none are downloaded here")
    if dataset.name == "cifar10" and bench.data and (found := sorted(bench.data.glob(_CIFAR10_IMAGES))):
        return replace(dataset, name="cifar10_images", format="imagefolder", path=str(found[0]))
    return dataset


def _affordable(bench: Bench, seconds: float, train: Callable[[int], float]) -> int:
    """Number of steps that take this long, by two short trainings. train: returns the seconds of a number."""
    first, second = _TINY if bench.tiny else _SHORT
    seconds_of_first, seconds_of_second = train(first), train(second)
    each = max((seconds_of_second - seconds_of_first) / (second - first), 1e-4)
    fixed = seconds_of_first - first * each
    left = seconds - seconds_of_first - seconds_of_second - fixed
    return second if bench.tiny else max(second, int(left / each))


def _train(params: Params, paths: Paths, arm: Arm, steps: int) -> float:
    """Train the generators for about as many steps. Returns: seconds."""
    per_step = params.training.batch_size * params.families[arm.generator].n_critic
    epochs = min(_EPOCHS, steps)
    training = replace(params.training, epochs=epochs, images_per_epoch=steps // epochs * per_step)
    return run_stage("train_generators", replace(params, training=training), paths, arm)


def _classify(  # noqa: PLR0917
    bench: Bench, params: Params, paths: Paths, arm: Arm, network: str, seconds: float
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of the classifiers of each source, and the seconds of their training."""
    recipe = replace(
        params.classifier,
        network=network,
        sources=list(_SOURCES),
        simple_classifiers=[],
        learning_curve=[],
        evaluations=1,
    )
    baseline, spent = Arm("real", arm.percent, arm.seed), dict[str, float]()

    def train(count: int, stage: str = "train_baselines", of: Arm = baseline) -> float:
        return run_stage(stage, replace(params, classifier=replace(recipe, steps=count)), paths, of)

    steps = _affordable(bench, seconds / len(_SOURCES), train)
    spent[f"train_baselines, {network}"] = train(steps)
    spent[f"train_classifiers, {network}"] = train(steps, "train_classifiers", arm)
    images, labels = load_set(paths.tensors / "test")
    classes = load_json(paths.tensors / "dataset.json")["classes"]
    rows = []
    for source in _SOURCES:
        folder = paths.baseline(arm) if source == "real" else paths.classifiers(arm)
        with arithmetic(params.compute, bench.device):
            logits = archive.logits(folder, source, np.asarray(images), bench.device)
        found = accuracy.summary(labels, targets.decide(logits, False), classes)
        rows.append(
            {"network": network, "source": source, "steps": steps, **{name: found[name] for name in _COLUMNS}}
        )
    return rows, spent
