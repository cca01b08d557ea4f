"""Reasons not to believe the numbers, found before a conclusion is drawn from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labelmint.reporting.replicates import Row
from labelmint.runtime.words import shortened

QUICK = "QUICK: no number here is a result."
_MOST_NAMES = 6
_ENOUGH_TRAINED = 500
"""Training images with which a feature network has features of the classes rather than of single images."""
_ENOUGH_JUDGED = 200
"""Points behind precision and recall: with 72 test images, coloured fog had a precision of 0.944."""


@dataclass(frozen=True)
class Doubt:
    """text: what is doubtful, why, and what to do. fatal: if nothing can be concluded, the headline."""

    text: str
    fatal: str = ""


def doubts(
    rows: list[Row], *, first_look: bool, n_train: int | None, unhealthy: Mapping[str, list[tuple[str, str]]]
) -> list[Doubt]:
    """Everything doubtful, the worst first.

    n_train: images that the feature network was trained on; None without one. unhealthy: (class, health) of
    the generators of each arm that did not train well.
    """
    real = list({(row["percent"], row["seed"]): row for row in rows if row["source"] == "real"}.values())
    found = [_first_look()] if first_look else []
    return [
        *found,
        *_at_chance(real),
        *_undertrained(real),
        *_generators(unhealthy),
        *_features(rows, n_train),
    ]


def without_conclusion(doubts: Iterable[Doubt]) -> str:
    """The headline where a doubt allows no conclusion, or an empty string."""
    return next((doubt.fatal for doubt in doubts if doubt.fatal), "")


def _first_look() -> Doubt:
    return Doubt(
        f"{QUICK} Networks, data and training are those of a first look; the full size is the same command "
        "without QUICK=1 or --quick.",
        fatal=QUICK,
    )


def chance(row: Row) -> float:
    """Accuracy without looking at an image: that of always naming the most frequent class."""
    if row.get("majority") is not None:  # attributes
        return float(row["majority"])
    sizes = [sum(line) for line in row.get("confusion") or []]
    return max(sizes) / sum(sizes) if sizes else 0.0


def _at_chance(real: list[Row]) -> Iterable[Doubt]:
    if found := [row for row in real if row["accuracy_low"] <= chance(row)]:
        worst = min(found, key=lambda row: row["accuracy"])
        yield Doubt(
            f"The classifier trained on real images has learned nothing {_where(found, real)}: it reaches "
            f"{100 * worst['accuracy']:.1f} %, and always naming the most frequent class "
            f"{100 * chance(worst):.1f} %. No comparison with it says anything about the synthetic images. "
            "Raise classifier.steps, or see whether the labels are right.",
            fatal="No conclusion: the classifier trained on real images is no better than chance.",
        )


def _undertrained(real: list[Row]) -> Iterable[Doubt]:
    def simple(row: Row) -> float:
        return max(row.get("accuracy_linear") or 0.0, row.get("accuracy_nearest_neighbour") or 0.0)

    learned = [row for row in real if row["accuracy_low"] > chance(row)]
    if found := [row for row in learned if simple(row) > row["accuracy_high"]]:
        worst = max(found, key=lambda row: simple(row) - row["accuracy"])
        yield Doubt(
            f"The classifier is undertrained {_where(found, real)}: trained on the same real images, a "
            f"simple classifier of pixels reaches {100 * simple(worst):.1f} % and the network "
            f"{100 * worst['accuracy']:.1f} %. Differences between sources may be those of its training: "
            "raise classifier.steps, or choose a smaller classifier.network."
        )


def _generators(unhealthy: Mapping[str, list[tuple[str, str]]]) -> Iterable[Doubt]:
    arms = {arm: classes for arm, classes in unhealthy.items() if classes}
    if arms:
        listed = [f"{arm} ({name}: {health})" for arm, classes in arms.items() for name, health in classes]
        names = shortened(listed, _MOST_NAMES)
        yield Doubt(
            f"Generators of {len(arms)} of {len(unhealthy)} arms did not train well: {names}. Their images "
            "may be noise or repeat a few; see their samples in the report."
        )


def _features(rows: list[Row], n_train: int | None) -> Iterable[Doubt]:
    measured = [row["measured"]["precision"] for row in rows if "precision" in row.get("measured", {})]
    judged = min((min(each["n"], each["n_reference"]) for each in measured), default=_ENOUGH_JUDGED)
    if judged < _ENOUGH_JUDGED:
        yield Doubt(
            f"Precision, recall and distances rest on as few as {judged} images: they may call noise similar "
            "to real images."
        )
    if n_train is not None and n_train < _ENOUGH_TRAINED:
        yield Doubt(
            f"The feature network was trained on {n_train} images only: distances in its features say little."
        )


def _where(found: list[Row], real: list[Row]) -> str:
    percents = sorted({row["percent"] for row in found})
    if len(found) == len(real):
        return "everywhere" if len(real) > 1 else f"at {percents[0]} % of the data"
    return f"at {shortened([str(percent) for percent in percents], _MOST_NAMES)} % of the data"
