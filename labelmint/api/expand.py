"""From a folder of labelled images to more of them, and whether they help, within a given time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labelmint.api.classifier import Classifier, fit_pools
from labelmint.api.dataset import LabelledDataset, load_dataset
from labelmint.api.synthesizer import Synthesizer
from labelmint.classifiers.pools import Pool
from labelmint.classifiers.settings import Classifier as Recipe
from labelmint.metrics.replicated import paired_difference
from labelmint.reporting import sanity
from labelmint.reporting.sanity import Doubt
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import named_device
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from labelmint.runtime.words import counted

_OF_GENERATORS, _OF_CLASSIFIERS = 0.6, 0.3
"""Fractions of the time; the rest is for reading, sampling and writing."""
_PROBE_STEPS, _MOST_PROBE_STEPS = 8, 2_000
_PROBE_SECONDS = 1.0
"""How much longer than one step a timed training must take."""
_GENERATOR_IMAGES = (1_000, 300_000)
"""Least and most real images that a generator is shown."""
_CLASSIFIER_STEPS = (60, 1_000)
_SMALL_BELOW = 200
"""With fewer steps than these, EfficientNet learns less than a small CNN."""
_EPOCHS = 5

Interval = tuple[float, float, float]
"""Value, and the ends of its 95 % interval."""


@dataclass(frozen=True)
class Expansion:
    """Synthetic labelled images, and what they are worth.

    images: uint8 (N, C, S, S). labels: int64 (N,). dataset: The real images. classifiers: By what they were
    trained on: "real", "synthetic" and "mixed". accuracy: On the real test images. difference: From "real",
    paired over the test images. doubts: Reasons not to believe the numbers.
    """

    images: np.ndarray
    labels: np.ndarray
    dataset: LabelledDataset
    synthesizer: Synthesizer
    classifiers: dict[str, Classifier]
    accuracy: dict[str, Interval]
    difference: dict[str, Interval]
    doubts: list[Doubt]

    @property
    def verdict(self) -> str:
        """Whether the images help, in one or two sentences. It is about this run, of one seed."""
        if reason := sanity.without_conclusion(self.doubts):
            return reason
        real, synthetic, mixed = (100 * self.accuracy[name][0] for name in ("real", "synthetic", "mixed"))
        value, low, high = (100 * each for each in self.difference["mixed"])
        tests = counted(len(self.dataset.test_labels), "real test image")
        if low > 0:
            answer = "In this run, adding the synthetic images raised accuracy"
        elif high < 0:
            answer = "In this run, adding the synthetic images lowered accuracy"
        else:
            answer = "In this run, adding the synthetic images made no clear difference"
        return (
            f"{answer}: {mixed:.1f} % of {tests} are classified correctly instead of {real:.1f} % "
            f"({value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}). "
            f"Trained on synthetic images only: {synthetic:.1f} %. Another seed gives other numbers."
        )

    def save(self, folder: str | Path) -> Path:
        """Write images/ (a folder of PNG files per class), generator/, classifier/ and verdict.json.

        The classifier is that of real images or of both, whichever has the higher lower end of its interval.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        self.synthesizer.save(target / "generator")
        best = max(("real", "mixed"), key=lambda name: self.accuracy[name][1])
        self.classifiers[best].save(target / "classifier")
        self._export(target)
        numbers = {
            "verdict": self.verdict,
            "warnings": [doubt.text for doubt in self.doubts],
            "n_real": len(self.dataset.labels),
            "n_synthetic": len(self.labels),
            "n_test": len(self.dataset.test_labels),
            "classes": self.dataset.classes,
            "accuracy": self.accuracy,
            "difference": self.difference,
            "classifier": best,
        }
        save_json(target / "verdict.json", numbers)
        return target

    def _export(self, folder: Path) -> None:
        from labelmint.export import datasheet, export, orders
        from labelmint.gans import published

        generator, per_class = folder / "generator", len(self.labels) // len(self.dataset.classes)
        order = orders.Order(per_class, (), self.synthesizer.seed)
        job = export.Export.of_folder(
            generator, order, "folders", folder / "images", self.synthesizer.compute
        )
        weights = load_json(generator / published.DESCRIPTION)["weights_sha256"]
        text = datasheet.render(job, self.synthesizer.family, weights, None)
        export.run(job, f"{text}\n## What they are worth\n\n{self.verdict}\n")


def expand(
    source: str | Path,
    *,
    per_class: int = 500,
    minutes: float = 10.0,
    family: str = "dcgan",
    seed: int = 0,
    device: str = "auto",
    workers: int | str = "auto",
    **settings: Any,
) -> Expansion:
    """Train generators on labelled images, sample more, and measure whether they help a classifier.

    Three classifiers with the same recipe and number of steps are trained: on the real images, on the
    synthetic ones, and on both. They are tested on real images that took no part: the test set of `source`,
    or a fifth of the images where it has none.

    Args:
        source: A folder, zip or tar with a folder of images per class, or the name of a published data set.
        per_class: Synthetic images of each class.
        minutes: Time for all of it, roughly. Networks train as long as it allows; one minute is the least.
        family: GAN family, one with classes.
        seed: All randomness derives from it.
        device: As `compute.device`: "auto", "cpu", "cuda", "cuda:N" or "mps".
        workers: Processes on a CPU, or "auto" for one per core.
        **settings: Fields of `dataset` in params.yaml, e.g. `image_size=64`.

    Raises:
        InputError: The images cannot be used, or a setting is unknown or out of range.
    """
    if not minutes >= 1:
        raise InputError(f"minutes must be at least 1, got {minutes:g}")
    if per_class < 1:
        raise InputError(f"per_class must be at least 1, got {per_class}")
    if Synthesizer(family).family_settings.labels not in ("per_class", "conditional"):
        raise InputError(f"expand: {family} generates no images of given classes; choose another family")
    started, seconds = time.monotonic(), 60 * minutes
    dataset = load_dataset(source, **settings)
    if dataset.labels.ndim > 1:
        raise InputError("expand: images must have classes, not attributes")
    say(
        f"{counted(len(dataset.labels), 'training image')} of {len(dataset.classes)} classes, "
        f"{counted(len(dataset.test_labels), 'test image')}"
    )
    common: dict[str, Any] = {"seed": seed, "device": device, "workers": workers}
    synthesizer = _sized(dataset, family, common, _OF_GENERATORS * seconds)
    synthesizer.fit(dataset)
    images, labels = synthesizer.sample(per_class, seed=seed)

    real, synthetic = Pool("real", dataset.images, dataset.labels), Pool("synthetic", images, labels)
    sources = {
        "real": [real],
        "synthetic": [synthetic],
        "mixed": [real.weighted(0.5), synthetic.weighted(0.5)],
    }
    target = named_device(device)
    left = min(_OF_CLASSIFIERS * seconds, max(0.0, 0.95 * seconds - (time.monotonic() - started)))

    def fitted(pools: list[Pool], recipe: Recipe) -> Classifier:
        return fit_pools(pools, dataset.classes, recipe, target, seed=seed, preparation=dataset.preparation)

    recipe = _recipe(lambda recipe: fitted([real], recipe), left / len(sources))
    say(f"training three classifiers ({recipe.network}) for {recipe.steps} steps each")
    classifiers = {name: fitted(pools, recipe) for name, pools in sources.items()}
    return _measured(dataset, synthesizer, images, labels, classifiers)


def _sized(dataset: LabelledDataset, family: str, common: dict[str, Any], seconds: float) -> Synthesizer:
    """An untrained synthesizer whose training takes about so long."""

    def train(steps: int) -> float:
        size = Synthesizer(family, **common).training.batch_size
        started = time.monotonic()
        Synthesizer(family, epochs=1, images_per_epoch=steps * size, **common).fit(dataset)
        return time.monotonic() - started

    per_step = _per_step(train)
    batch = Synthesizer(family, **common).training.batch_size
    least, most = _GENERATOR_IMAGES
    shown = min(most, max(least, int(seconds / per_step) * batch))
    epochs = min(_EPOCHS, -(-shown // batch))
    per_epoch = -(-shown // epochs)
    say(f"training {family} on {counted(shown, 'image')} per generator, in {counted(epochs, 'epoch')}")
    return Synthesizer(family, epochs=epochs, images_per_epoch=per_epoch, ema_half_life=shown // 10, **common)


def _recipe(train: Callable[[Recipe], Classifier], seconds: float) -> Recipe:
    """The classifier's settings for training of about so long: EfficientNet if it can take enough steps."""
    least, most = _CLASSIFIER_STEPS
    steps = 0
    for recipe in (Recipe(evaluations=1, stem_stride=1), Recipe(evaluations=1, network="small_cnn")):

        def timed(count: int, recipe: Recipe = recipe) -> float:
            started = time.monotonic()
            train(replace(recipe, steps=count))
            return time.monotonic() - started

        steps = int(seconds / _per_step(timed))
        if steps >= _SMALL_BELOW:
            break
    return replace(recipe, steps=min(most, max(least, steps)), evaluations=4)


def _per_step(seconds: Callable[[int], float]) -> float:
    """Seconds of a step. seconds: trains for a number of steps, and returns how long that took.

    The time of a start is left out, as soon as the steps take longer than its variation.
    """
    steps, start = _PROBE_STEPS, seconds(1)
    while (taken := seconds(steps)) - start < _PROBE_SECONDS and steps < _MOST_PROBE_STEPS:
        steps *= 4
    return (taken - start) / (steps - 1) if taken - start >= _PROBE_SECONDS else taken / steps


def _measured(
    dataset: LabelledDataset,
    synthesizer: Synthesizer,
    images: np.ndarray,
    labels: np.ndarray,
    classifiers: dict[str, Classifier],
) -> Expansion:
    summaries = {
        name: each.evaluate(dataset.test_images, dataset.test_labels) for name, each in classifiers.items()
    }
    correct = {
        name: (each.predict(dataset.test_images) == dataset.test_labels).astype(float)
        for name, each in classifiers.items()
    }
    row = {"source": "real", "percent": 100, "seed": synthesizer.seed, **summaries["real"]}
    return Expansion(
        images=images,
        labels=labels,
        dataset=dataset,
        synthesizer=synthesizer,
        classifiers=classifiers,
        accuracy={
            name: (each["accuracy"], each["accuracy_low"], each["accuracy_high"])
            for name, each in summaries.items()
        },
        difference={
            name: paired_difference(correct[name], correct["real"]) for name in ("synthetic", "mixed")
        },
        doubts=sanity.doubts([row], first_look=False, n_train=None, unhealthy={}),
    )
