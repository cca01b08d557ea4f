"""Conclusions from the numbers, in sentences, with what they do not show.

One replicate says how its runs differ, and nothing about the method: another seed gives other generators and
classifiers, and its interval covers the choice of the test images only. Several replicates are evidence, with
p values adjusted for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelmint.metrics.worth import Worth
from labelmint.reporting.replicates import COMPARED, Estimate, Group, Key, Row, by_source, evidence, seeds
from labelmint.reporting.sanity import Doubt, without_conclusion
from labelmint.reporting.worth import in_words


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
        {key: group for key, group in groups.items() if key[2] == source} for source in ("synthetic", "mixed")
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
    found = evidence(groups)
    if len(replaced) == 1:
        generator, percent, _ = next(iter(replaced))
        sentence = (
            f"replacing the real images ({percent} % of the training data) with synthetic images "
            f"from {generator} {_effects(replaced, found)}"
        )
        if added:
            sentence += f"; adding them to the real images {_effects(added, found)}"
    else:
        sentence = f"replacing the real images with synthetic ones {_effects(replaced, found)}"
        if added:
            sentence += f"; adding synthetic images to the real ones {_effects(added, found)}"
    if seeds(rows) == 1:
        covered = " (±: 95 %, for the choice of the test images only)" if "±" in sentence else ""
        return f"In this run of one seed, {sentence}{covered}."
    return f"{sentence[0].upper()}{sentence[1:]} ({_adjusted(len(found))}, {seeds(rows)} seeds)."


def verdict(rows: list[Row], n_test: int, worths: Mapping[Key, Worth] | None = None) -> list[str]:
    """A conclusion for each generator and percent, and a sentence on what the intervals cover.

    worths: of synthetic and mixed images, in real ones.
    """
    groups = by_source(rows)
    found = evidence(groups)
    conclusions = []
    for generator, percent in sorted({(row["generator"], row["percent"]) for row in rows}):
        own = {key: group for key, group in groups.items() if key[:2] == (generator, percent)}
        synthetic = [
            row
            for row in rows
            if (row["generator"], row["percent"], row["source"]) == (generator, percent, "synthetic")
        ]
        conclusion = _conclusion(generator, percent, own, found, synthetic)
        conclusions.append(conclusion + _worth(generator, percent, own, worths or {}))
    return [*conclusions, coverage(seeds(rows), n_test, len(found))]


def coverage(n_seeds: int, n_test: int, comparisons: int) -> str:
    """What the intervals cover, and what the conclusions rest on. comparisons: that are called evidence."""
    if n_seeds == 1:
        return (
            f"One seed: the intervals cover the choice of the {n_test:,} test images, but not the variation "
            "between training runs, so these differences are those of these runs. Add seeds to params.yaml "
            "to compare methods."
        )
    return (
        f"{n_seeds} seeds, each with its own subset of the real data (unless that is all of it), generators "
        f"and classifiers. Intervals over seeds cover the choice of the {n_test:,} test images, which all "
        "seeds share, and the variation between training runs; with two or three seeds they are wide. "
        f"Evidence: {_adjusted(comparisons)}."
    )


def _adjusted(comparisons: int) -> str:
    return f"p ≤ 0.05, adjusted for {comparisons} comparison{'s' if comparisons > 1 else ''} (Holm)"


def _conclusion(
    generator: str,
    percent: int,
    groups: Mapping[Key, Group],
    found: Mapping[Key, bool],
    synthetic: Sequence[Row],
) -> str:
    replaced = generator, percent, "synthetic"
    real = groups[generator, percent, "real"]
    begin = f"With {percent} % of the real training data ({real.rows[0]['n_real']:,} images), "
    reached = f"{100 * real.accuracy.value:.1f} %"
    if replaced not in groups:
        begin += f"a classifier trained on the real images reaches {reached} accuracy on real test images"
        if not synthetic:
            return f"{begin}; none was trained on synthetic images from {generator}."
        distance = sum(row["frechet_classifier"] for row in synthetic) / len(synthetic)
        return (
            f"{begin}. The synthetic images from {generator} have no labels, so no classifier was trained on "
            f"them; only their similarity to real images was measured (Fréchet distance {distance:.2f})."
        )
    only = 100 * groups[replaced].accuracy.value
    keys = {change: (generator, percent, source) for source, change in COMPARED.items()}
    changes = (
        f"{change} {_effects({key: groups[key]}, found)}." for change, key in keys.items() if key in groups
    )
    return (
        f"{begin}a classifier trained only on synthetic images from {generator} reaches {only:.1f} % "
        f"accuracy on real test images; one trained on the same real images reaches {reached}. "
        f"{' '.join(changes)}"
    )


def _worth(generator: str, percent: int, groups: Mapping[Key, Group], worths: Mapping[Key, Worth]) -> str:
    """What the synthetic images are worth, alone and added to the real ones; empty where it is not known."""
    alone, added = (worths.get((generator, percent, source)) for source in ("synthetic", "mixed"))
    if alone is None:
        return ""
    row = groups[generator, percent, "synthetic"].rows[0]
    sentence = f" The {row['n_synthetic']:,} synthetic images are worth {in_words(alone)} real images"
    if added is not None:
        real = groups[generator, percent, "real"].rows[0]["n_real"]
        sentence += f"; added to the {real:,}, they act like {in_words(added)}"
    return f"{sentence}."


def _effects(groups: Mapping[Key, Group], found: Mapping[Key, bool]) -> str:
    """One difference with its interval, or the range of several, and with several seeds what is evidence."""
    differences = [group.difference for group in groups.values()]
    if len(differences) == 1:
        only = differences[0]
        size = f"{signed(only.value)} ± {100 * only.half_width:.1f} points"
    else:
        values = sorted(each.value for each in differences)
        size = f"{' to '.join(dict.fromkeys(map(signed, (values[0], values[-1]))))} points"
    if not found:
        several = f" in {len(differences)} comparisons" if len(differences) > 1 else ""
        return f"changed accuracy by {size}{several}"
    return f"changes accuracy by {size} ({_evidence(differences, [found[key] for key in groups])})"


def _evidence(differences: Sequence[Estimate], found: Sequence[bool]) -> str:
    signs = [each.value > 0 for each, is_evidence in zip(differences, found, strict=True) if is_evidence]
    if len(differences) == 1:
        if not signs:
            return "no evidence of a difference"
        return f"evidence of a {'gain' if signs[0] else 'loss'}"
    if not signs:
        return f"no evidence of a difference in any of {len(differences)} comparisons"
    counts = (("loss", signs.count(False)), ("gain", signs.count(True)))
    listed = " and of ".join(f"a {noun} in {count}" for noun, count in counts if count)
    return f"evidence of {listed} of {len(differences)} comparisons"


def signed(difference: float) -> str:
    """A difference in points with its sign, such as −0.8."""
    return f"{100 * difference:+.1f}".replace("-", "−")
