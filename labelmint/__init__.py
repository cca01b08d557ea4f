"""Synthetic labelled image data, and the honest measurement of what it is worth.

    import labelmint

    dataset = labelmint.load_dataset("photos/")
    synthesizer = labelmint.Synthesizer("dcgan", epochs=40).fit(dataset)
    images, labels = synthesizer.sample(per_class=100)

Names are loaded at first use: `import labelmint` itself takes milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelmint.api.classifier import Classifier, Prediction, load_classifier, train_classifier
    from labelmint.api.dataset import LabelledDataset, load_dataset
    from labelmint.api.expand import Expansion, expand
    from labelmint.api.quality import QualityReport, quality_report
    from labelmint.api.synthesizer import Synthesizer, load
    from labelmint.runtime.errors import InputError

__all__ = [
    "Classifier",
    "Expansion",
    "InputError",
    "LabelledDataset",
    "Prediction",
    "QualityReport",
    "Synthesizer",
    "expand",
    "load",
    "load_classifier",
    "load_dataset",
    "quality_report",
    "train_classifier",
]

try:
    __version__ = version("labelmint")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Classifier": "labelmint.api.classifier",
    "Expansion": "labelmint.api.expand",
    "InputError": "labelmint.runtime.errors",
    "LabelledDataset": "labelmint.api.dataset",
    "Prediction": "labelmint.api.classifier",
    "QualityReport": "labelmint.api.quality",
    "Synthesizer": "labelmint.api.synthesizer",
    "expand": "labelmint.api.expand",
    "load": "labelmint.api.synthesizer",
    "load_classifier": "labelmint.api.classifier",
    "load_dataset": "labelmint.api.dataset",
    "quality_report": "labelmint.api.quality",
    "train_classifier": "labelmint.api.classifier",
}


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("labelmint.metrics")
    if name not in _HOMES:
        raise AttributeError(f"module 'labelmint' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "metrics"])
