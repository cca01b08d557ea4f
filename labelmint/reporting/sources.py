"""Sources of training images as the report shows them: their order, names, markers and colours."""

from __future__ import annotations

from labelmint.classifiers.sources import parse, position

__all__ = ["LABELS", "MAIN", "MARKERS", "colour", "is_real", "is_sweep", "position"]

MAIN = ("real", "synthetic", "mixed")
"""The sources that most runs have, in the order of their colours."""
LABELS = {
    "real": "real images only",
    "synthetic": "synthetic images only",
    "mixed": "real + synthetic images",
}
MARKERS = {"real": "circle", "synthetic": "square", "mixed": "triangle"}
OTHER_COLOUR = 7


def is_real(source: str) -> bool:
    """Whether a source has no synthetic images, so that it is the same for every generator."""
    return parse(source).origin == "real"


def is_sweep(source: str) -> bool:
    """Whether a source is on the curve of classifier.sweep: all synthetic images, or a number per class."""
    return source == "synthetic" or parse(source).per_class is not None


def colour(source: str) -> int:
    """Index in the palette of the charts."""
    return MAIN.index(source) if source in MAIN else OTHER_COLOUR
