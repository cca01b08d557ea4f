"""What the numbers say, in sentences, and what they cannot say."""

from __future__ import annotations

from stages.report.replicates import Estimate, Row, by_source, estimate


def verdict(rows: list[Row], n_test: int) -> list[str]:
    """One sentence per generator and percent, and one on what the intervals cover."""
    sentences = []
    groups = by_source(rows)
    for generator in sorted({row["generator"] for row in rows}):
        own = [row for row in rows if row["generator"] == generator]
        for percent in sorted({row["percent"] for row in own}):
            here = {source: group for (name, share, source), group in groups.items() if (name, share) == (generator, percent)}  # fmt: skip
            minted = [row for row in own if row["percent"] == percent and row["source"] == "synthetic"]
            begin = f"With {percent} % of the real data ({here['real'][0]['n_real']:,} images), "
            sentences.append(begin + _judged(generator, here, minted))
    seeds = len({row["seed"] for row in rows})
    sentences.append(
        f"One replicate: the intervals cover the draw of the {n_test:,} test images, not the luck of a training run; add seeds to params.yaml to measure that."
        if seeds == 1
        else f"{seeds} replicates: intervals of accuracies and differences are Student's t over seeds, each of which draws its subset, generators and classifiers anew."
    )
    return sentences


def _judged(generator: str, here: dict[str, list[Row]], minted: list[Row]) -> str:
    real = f"{100 * estimate(here['real'], 'accuracy').value:.1f} %"
    if "synthetic" not in here:
        if not minted:
            return f"a classifier trained on them reaches {real} on real test images; none was trained on images minted by {generator}."
        distance = sum(row["frechet_classifier"] for row in minted) / len(minted)
        return (
            f"the images minted by {generator} bear no labels, so that no classifier could be trained on them: only how like real "
            f"images they are was measured (Fréchet distance {distance:.2f}). A classifier trained on the real images reaches {real} on real test images."
        )
    alone = estimate(here["synthetic"], "accuracy").value
    sentence = (
        f"a classifier trained only on images minted by {generator} reaches {100 * alone:.1f} % on real test images; one trained on "
        f"the same real images reaches {real}: the minted set {in_points(estimate(here['synthetic'], 'difference'))}."
    )
    if "mixed" in here:
        sentence += f" Adding it to the real images {in_points(estimate(here['mixed'], 'difference'))}."
    return sentence


def in_points(difference: Estimate) -> str:
    """costs 0.8 ± 0.2 points, and whether that is evidence of anything."""
    gains = difference.value > 0
    size = f"{abs(100 * difference.value):.1f} ± {100 * difference.half:.1f} points"
    if difference.value == 0:
        return f"changes nothing (0.0 ± {100 * difference.half:.1f} points)"
    told = f"{'gains' if gains else 'costs'} {size}"
    return told if difference.beyond_doubt else f"{told}: no evidence of a {'gain' if gains else 'loss'}"
