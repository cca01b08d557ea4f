"""The registry of metrics: name, protocol, direction, columns and function of each.

Every module of this package is imported on first use, and registers its metrics by a decorator. To add a
metric, add a module:

    @image_metric("brightness", direction="none", protocol="mean difference of grey levels; all images")
    def brightness(images, reference):
        return float(images.mean() - reference.mean())

Modules directly in this package import no torch at their top, so that the registry is quick to read.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from labelmint.metrics.inputs import ClassifierResult, Comparison, Setup
from labelmint.runtime.progress import Progress

Direction = Literal["higher", "lower", "none"]
Values = dict[str, Any]
"""Numbers by name; under `measured`, by name, how each was measured (n, split, reference, network, ...)."""
ImageFunction = Callable[[Comparison], Mapping[str, Values]]
"""Returns the values of each source, "real" and "synthetic", that the metric applies to."""
ClassifierFunction = Callable[[ClassifierResult], Values]

_PUBLISHED = (
    *("dataset", "generator", "percent", "seed", "source", "split", "n_real", "n_synthetic", "steps"),
    *("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "worst_class_recall", "exact_match"),
    *("difference", "difference_low", "difference_high", "holdout_accuracy", "holdout_gap"),
    *("accuracy_linear", "accuracy_nearest_neighbour"),
    *("fid", "fid_infinity", "kid_inception", "inception_score"),
    *("kid", "frechet_classifier", "frechet_infinity", "frechet_intra_class"),
    *("precision", "recall", "density", "coverage", "diversity"),
    *("memorised", "memorised_pixels", "exact_copies", "authentic", "copying", "seconds"),
    *("n_frechet", "n_points", "n_memorised", "feature_network", "n_inception", "inception_network"),
)
"""Columns of results.csv as first published. Their order is fixed; columns of newer metrics follow."""


class NotMeasuredError(Exception):
    """Raised by a metric's function where the metric cannot be measured; the message says why."""


@dataclass(frozen=True)
class Metric:
    """One number in a row of data/metrics/<arm>.json.

    name: its key in the row.
    direction: whether higher or lower values are better, or neither.
    protocol: how it is measured, in a sentence, or a function that returns the sentence; empty where another
        metric's sentence covers it.
    protocol_name: key of that sentence; empty for `name`. Metrics with the same key share a sentence.
    title: heading in the report; empty for `name` without underscores.
    columns: columns of results.csv that hold it and its bounds; None for one column called `name`.
    protocol_columns: further columns, each with the key in `measured` that it shows, e.g. {"n_points": "n"}.
    function: measures it, perhaps together with others; set by the decorator.
    """

    name: str
    direction: Direction
    protocol: str | Callable[[Setup], str] = ""
    protocol_name: str = ""
    title: str = ""
    columns: tuple[str, ...] | None = None
    protocol_columns: Mapping[str, str] = field(default_factory=dict)
    function: Callable[..., Any] | None = None

    @property
    def heading(self) -> str:
        return self.title or self.name.replace("_", " ")

    @property
    def arrow(self) -> str:
        return {"higher": "↑", "lower": "↓", "none": ""}[self.direction]

    def sentence(self, setup: Setup) -> str:
        return self.protocol if isinstance(self.protocol, str) else self.protocol(setup)


_metrics: dict[str, Metric] = {}
_image_functions: list[ImageFunction] = []
_classifier_functions: list[ClassifierFunction] = []


def compares_images(*metrics: Metric) -> Callable[[ImageFunction], ImageFunction]:
    """Register a function that measures `metrics` of sets of images."""

    def register(function: ImageFunction) -> ImageFunction:
        _add(metrics, function)
        _image_functions.append(function)
        return function

    return register


def evaluates_classifier(*metrics: Metric) -> Callable[[ClassifierFunction], ClassifierFunction]:
    """Register a function that measures `metrics` of one classifier's predictions."""

    def register(function: ClassifierFunction) -> ClassifierFunction:
        _add(metrics, function)
        _classifier_functions.append(function)
        return function

    return register


def image_metric(
    name: str, *, direction: Direction, protocol: str, title: str = ""
) -> Callable[[Callable[[np.ndarray, np.ndarray], float]], Callable[[np.ndarray, np.ndarray], float]]:
    """Register a function of two sets of images, uint8 (N, C, S, S) and (M, C, S, S), that returns a number.

    It is measured for the real training images that the feature network has not seen and for all synthetic
    images of an arm, each against all test images.
    """

    def register(
        function: Callable[[np.ndarray, np.ndarray], float],
    ) -> Callable[[np.ndarray, np.ndarray], float]:
        @compares_images(Metric(name, direction, protocol, title=title))
        def measure(comparison: Comparison) -> dict[str, Values]:
            test = comparison.test
            values: dict[str, Values] = {}
            for source, images in comparison.sources.items():
                how = comparison.how(images.split, len(images)) | {"network": "none: pixels"}
                values[source] = {name: function(images.images, test.images), "measured": {name: how}}
            return values

        return function

    return register


def metrics() -> dict[str, Metric]:
    """All metrics by name, in the order of results.csv."""
    _import_modules()
    order = columns()
    return dict(
        sorted(_metrics.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    )


def image_metrics() -> list[str]:
    """Names of the metrics of images, in the order of results.csv."""
    return [name for name, metric in metrics().items() if metric.function in _image_functions]


def columns() -> list[str]:
    """Columns of results.csv: those of the first release in their order, then those of newer metrics."""
    _import_modules()
    own = (name for metric in _metrics.values() for name in [*_columns_of(metric), *metric.protocol_columns])
    return list(dict.fromkeys([*_PUBLISHED, *own]))


def protocol_columns() -> dict[str, tuple[str, str]]:
    """{column of results.csv: (metric, key of the metric's protocol)}, e.g. {"n_points": ("kid", "n")}."""
    _import_modules()
    return {
        column: (metric.name, key)
        for metric in _metrics.values()
        for column, key in metric.protocol_columns.items()
    }


def measure_images(comparison: Comparison) -> tuple[dict[str, Values], dict[str, str]]:
    """Values of all metrics of images by source, and what was not measured: {names of metrics: reason}."""
    _import_modules()
    values: dict[str, Values] = {source: {"measured": {}} for source in comparison.sources}
    absent: dict[str, str] = {}
    with Progress("images", len(_image_functions), "metrics") as progress:
        for function in _image_functions:
            try:
                for source, found in function(comparison).items():
                    values[source] = merged(values[source], found)
            except NotMeasuredError as error:
                own = (
                    name
                    for name, metric in _metrics.items()
                    if metric.function is function and metric.protocol
                )
                absent[", ".join(own)] = str(error)
            progress.add(1)
    return values, absent


def measure_classifier(result: ClassifierResult) -> Values:
    """Values of all metrics of one classifier's predictions."""
    _import_modules()
    values: Values = {}
    for function in _classifier_functions:
        values = merged(values, function(result))
    return values


def merged(first: Values, second: Values) -> Values:
    """Both sets of values, with the protocols of both."""
    return first | second | {"measured": first.get("measured", {}) | second.get("measured", {})}


def protocol(setup: Setup, absent: Mapping[str, str]) -> dict[str, str]:
    """A sentence on how each metric is measured. absent: {names of metrics: why they were not measured}."""
    missing = {name for names in absent for name in names.split(", ")}
    sentences = {
        metric.protocol_name or name: metric.sentence(setup)
        for name, metric in metrics().items()
        if name not in missing
    }
    return {name: sentence for name, sentence in sentences.items() if sentence} | {
        names: f"not measured: {reason}" for names, reason in absent.items()
    }


def _columns_of(metric: Metric) -> tuple[str, ...]:
    return (metric.name,) if metric.columns is None else metric.columns


def _add(own: tuple[Metric, ...], function: Callable[..., Any]) -> None:
    for metric in own:
        if metric.name in _metrics:
            raise ValueError(f"metric '{metric.name}' is registered twice")
        _metrics[metric.name] = replace(metric, function=function)


@lru_cache(maxsize=1)
def _import_modules() -> None:
    package = importlib.import_module(__name__.rpartition(".")[0])
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"{package.__name__}.{module.name}")
