"""What synthetic labelled images are worth: one report beside the real images that they stand for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import safetensors.numpy

from labelmint.api.classifier import Classifier, train_classifier
from labelmint.api.synthesizer import check_images
from labelmint.classifiers import feature_learner
from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.classifiers.settings import FeatureNetwork
from labelmint.metrics import registry
from labelmint.metrics.inputs import Comparison
from labelmint.metrics.intervals import wilson
from labelmint.metrics.replicated import paired_difference
from labelmint.metrics.settings import Metrics
from labelmint.runtime.devices import arithmetic, pick_device, precision_in_force
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import did_you_mean

LabelledImages = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class QualityReport:
    """Metrics of synthetic images, with those of real training images as the ceiling.

    real, synthetic: Value by name of the metric; None where it could not be measured.
    intervals: 95 % bounds (low, high) of "accuracy" by source, and of "difference" under "synthetic".
    protocol: How each metric was measured, in a sentence. absent: Why metrics are missing, by their names.
    """

    real: dict[str, float | None]
    synthetic: dict[str, float | None]
    intervals: dict[str, dict[str, tuple[float, float]]]
    protocol: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> float | None:
        """Value of one metric for the synthetic images, e.g. report["accuracy"]."""
        if metric not in self.synthetic:
            raise KeyError(f"no metric '{metric}'{did_you_mean(metric, list(self.synthetic))}")
        return self.synthetic[metric]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON-ready values."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __str__(self) -> str:
        lines = [f"{'metric':<22}{'real':>26}{'synthetic':>26}"]
        for name, value in self.synthetic.items():
            own = self._shown("synthetic", name, value)
            lines.append(f"{self._heading(name):<22}{self._cell('real', name):>26}{own:>26}")
        return "\n".join([*lines, *(f"not measured: {names} ({why})" for names, why in self.absent.items())])

    def _cell(self, source: str, name: str) -> str:
        return self._shown(source, name, self.real[name]) if name in self.real else "–"

    def _shown(self, source: str, name: str, value: float | None) -> str:
        if value is None:
            return "–"
        bounds = self.intervals.get(source, {}).get(name)
        return f"{value:.4g}" + (f" [{bounds[0]:.4g}, {bounds[1]:.4g}]" if bounds else "")

    @staticmethod
    def _heading(name: str) -> str:
        known = registry.metrics().get(name)
        return f"{known.heading} {known.arrow}".rstrip() if known else name


def quality_report(
    real: LabelledImages,
    synthetic: LabelledImages,
    test: LabelledImages,
    *,
    seed: int = 0,
    device: str = "auto",
    classifier: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> QualityReport:
    """Measure synthetic labelled images: train on them, test on real ones, and compare distributions.

    Two classifiers with the same recipe and number of steps are trained, one on the real and one on the
    synthetic images, and tested on the same real test images. Distances are measured in the features of a
    small network that is trained on three quarters of the real images; those of real images, the ceiling, are
    of the others.

    Args:
        real: Images, uint8 (N, C, S, S), and labels, int64 (N,): what the generator was trained on.
        synthetic: Images and labels to be judged.
        test: Real images that neither the generator nor a classifier has seen.
        seed: Seed of both classifiers.
        device: As `compute.device`: "auto", "cpu", "cuda", "cuda:N" or "mps".
        classifier: Fields of `classifier` in params.yaml, e.g. {"network": "small_cnn", "steps": 300}.
        features: Fields of `feature_network`.
        metrics: Fields of `metrics`.

    Raises:
        InputError: The arrays do not fit together, a setting is unknown or out of range, or torch cannot use
            the device.
    """
    sets = {
        name: check_images(*each) for name, each in (("real", real), ("synthetic", synthetic), ("test", test))
    }
    for name, (images, labels) in sets.items():
        if images.shape[1:] != sets["real"][0].shape[1:]:
            raise InputError(
                f"{name}: expected images of shape {sets['real'][0].shape[1:]}, got {images.shape[1:]}"
            )
        if labels.ndim > 1:
            raise InputError(f"{name}: expected one class per image, got multi-hot labels")
    classes = 1 + max(int(labels.max()) for _, labels in sets.values())
    try:
        network = _frozen(sets["real"], classes, FeatureNetwork(**(features or {})))
        measured = Metrics(**(metrics or {}))
        options: dict[str, Any] = {"device": device}  # checked on construction
        compute = Compute(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"quality_report: {error}") from error
    target = pick_device(compute)
    with arithmetic(compute, target):
        comparison = Comparison.of(
            network,
            sets["test"],
            sets["real"],
            sets["synthetic"],
            rows=np.arange(len(sets["real"][0])),
            classes=classes,
            params=measured,
            device=target,
            precision=precision_in_force(compute, target),
        )
        values, absent = registry.measure_images(comparison)
    numbers: dict[str, dict[str, float | None]] = {"real": {}, "synthetic": {}}
    intervals: dict[str, dict[str, tuple[float, float]]] = {"real": {}, "synthetic": {}}
    correct = {}
    for source in ("real", "synthetic"):
        names = [str(number) for number in range(classes)]
        trained = train_classifier(
            images=sets[source][0],
            labels=sets[source][1],
            classes=names,
            seed=seed,
            device=device,
            **(classifier or {}),
        )
        correct[source] = _correct(trained, sets["test"])
        numbers[source]["accuracy"] = float(correct[source].mean())
        intervals[source]["accuracy"] = wilson(float(correct[source].sum()), len(correct[source]))
    difference, low, high = paired_difference(correct["synthetic"], correct["real"])
    numbers["synthetic"]["difference"], intervals["synthetic"]["difference"] = difference, (low, high)
    for source, found in values.items():
        numbers[source] |= {
            name: found[name] for name in registry.image_metrics() if _is_number(found.get(name, ""))
        }
    return QualityReport(
        numbers["real"], numbers["synthetic"], intervals, values["synthetic"]["measured"], absent
    )


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _correct(classifier: Classifier, test: LabelledImages) -> np.ndarray:
    """Whether each test image is classified correctly: float64 (N,), 0 or 1."""
    correct: np.ndarray = (classifier.predict(test[0]) == test[1]).astype(float)
    return correct


def _frozen(real: LabelledImages, classes: int, params: FeatureNetwork) -> FrozenNetwork:
    """The feature network, trained on real images as the stage `train_feature_network` does it."""
    trained = feature_learner.train(params, *real, [False] * classes)
    weights = {name: value.contiguous().numpy() for name, value in trained.network.state_dict().items()}
    digest = hashlib.sha256(safetensors.numpy.save(weights)).hexdigest()
    return trained.frozen(digest)


__all__ = ["QualityReport", "quality_report"]
