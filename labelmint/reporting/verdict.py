"""Conclusions from the numbers, in sentences, with what they do not show."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labelmint.reporting.replicates import Estimate, Row, by_source, estimate
from labelmint.reporting.sanity import Doubt, without_conclusion


def headline(rows: list[Row], doubts: Sequence[Doubt] = ()) -> str:
    """The answer in one sentence, or why there is none.

    Over several comparisons, it gives the range and counts those with evidence; it never picks the best one.
    """
    if reason := without_conclusion(doubts):
        return reason
    if not rows:
        return "Nothing to compare: params.yaml names no generator."
    groups = by_source(rows)
    replaced, added = (
        {key[:2]: estimate(group, "difference") for key, group in groups.items() if key[2] == source}
        for source in ("synthetic", "mixed")
    )
    if not replaced:
        if not any(row["source"] == "synthetic" for row in rows):
            return (
                "No classifier was trained on synthetic images only: see classifier.sources in params.yaml."
            )
        return (
            "The synthetic images have no labels, so no classifier was trained on them. "
            "This page reports how similar they are to real images, not how useful they are for training."
        )
    if len(replaced) == 1:
        ((generator, percent), only) = next(iter(replaced.items()))
        sentence = (
            f"Replacing the real images ({percent} % of the training data) with synthetic images "
            f"from {generator} {effect(only, 'points of accuracy')}"
        )
        for each in added.values():
            sentence += f"; adding them to the real images {effect(each, 'points of accuracy')}"
        return sentence + "."
    sentence = f"Replacing the real images with synthetic ones {_effects(replaced.values())}"
    if added:
        sentence += f"; adding synthetic images to the real ones {_effects(added.values())}"
    return sentence + "."


def verdict(rows: list[Row], n_test: int) -> list[str]:
    """A conclusion for each generator and percent, and a sentence on what the intervals cover."""
    conclusions = []
    groups = by_source(rows)
    for generator, percent in sorted({(row["generator"], row["percent"]) for row in rows}):
        own = [row for row in rows if (row["generator"], row["percent"]) == (generator, percent)]
        by_name = {source: group for (*arm, source), group in groups.items() if arm == [generator, percent]}
        synthetic = [row for row in own if row["source"] == "synthetic"]
        conclusions.append(_conclusion(generator, percent, by_name, synthetic))
    seeds = len({row["seed"] for row in rows})
    if seeds == 1:
        coverage = (
            f"One replicate: the intervals cover the choice of the {n_test:,} test images, but not the "
            "variation between training runs. Add seeds to params.yaml to measure that."
        )
    else:
        coverage = (
            f"{seeds} replicates, each with its own subset of the real data (unless that is all of it), "
            "generators and classifiers. The intervals of accuracies and differences combine Student's t "
            f"over the seeds with the choice of the {n_test:,} test images, which the replicates share."
        )
    return [*conclusions, coverage]


def _conclusion(generator: str, percent: int, by_name: dict[str, list[Row]], synthetic: list[Row]) -> str:
    begin = f"With {percent} % of the real training data ({by_name['real'][0]['n_real']:,} images), "
    real = f"{100 * estimate(by_name['real'], 'accuracy').value:.1f} %"
    if "synthetic" not in by_name:
        begin += f"a classifier trained on the real images reaches {real} accuracy on real test images"
        if not synthetic:
            return f"{begin}; none was trained on synthetic images from {generator}."
        distance = sum(row["frechet_classifier"] for row in synthetic) / len(synthetic)
        return (
            f"{begin}. The synthetic images from {generator} have no labels, so no classifier was trained on "
            f"them; only their similarity to real images was measured (Fréchet distance {distance:.2f})."
        )
    only = 100 * estimate(by_name["synthetic"], "accuracy").value
    conclusion = (
        f"{begin}a classifier trained only on synthetic images from {generator} reaches {only:.1f} % "
        f"accuracy on real test images; one trained on the same real images reaches {real}. "
        f"Replacing the real images {effect(estimate(by_name['synthetic'], 'difference'))}."
    )
    if "mixed" in by_name:
        conclusion += f" Adding the synthetic images {effect(estimate(by_name['mixed'], 'difference'))}."
    return conclusion


def effect(difference: Estimate, unit: str = "points") -> str:
    """A difference in words, such as "costs 0.8 ± 0.2 points", and whether that is evidence."""
    size = f"{abs(100 * difference.value):.1f} ± {100 * difference.half_width:.1f} {unit}"
    if difference.value == 0:
        return f"changes nothing ({size})"
    verb, noun = ("gains", "gain") if difference.value > 0 else ("costs", "loss")
    return f"{verb} {size}" + ("" if difference.significant else f" (no evidence of a {noun})")


def _effects(differences: Collection[Estimate]) -> str:
    """Range of several differences, and how many of them are evidence of a loss or gain."""
    values = sorted(100 * each.value for each in differences)
    ends = dict.fromkeys(f"{value:+.1f}".replace("-", "−") for value in (values[0], values[-1]))
    losses = sum(each.significant and each.value < 0 for each in differences)
    gains = sum(each.significant and each.value > 0 for each in differences)
    if losses or gains:
        counts = [f"a {noun} in {count}" for noun, count in (("loss", losses), ("gain", gains)) if count]
        evidence = f"evidence of {' and of '.join(counts)} of {len(differences)} comparisons"
    else:
        evidence = f"no evidence of a difference in any of {len(differences)} comparisons"
    return f"changes accuracy by {' to '.join(ends)} points ({evidence})"
