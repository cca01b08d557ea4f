"""What the numbers say, in sentences, and what they cannot say."""

from __future__ import annotations

from collections.abc import Iterable

from labelmint.reporting.replicates import Estimate, Row, by_source, estimate


def headline(rows: list[Row]) -> str:
    """The answer in one sentence. Over several comparisons it gives the range and counts the evidence, and picks no best one."""
    groups = by_source(rows)
    alone = {key[:2]: estimate(own, "difference") for key, own in groups.items() if key[2] == "synthetic"}
    added = {key[:2]: estimate(own, "difference") for key, own in groups.items() if key[2] == "mixed"}
    if not rows:
        return "No arm to compare: params.yaml names no generator."
    if not alone:
        return (
            "The minted images bear no labels, so that no classifier was trained on them: this page says how like real images they are, "
            "not what they are worth to a classifier."
            if all(row["accuracy"] is None for row in rows if row["source"] == "synthetic")
            else "No classifier was trained on minted images alone: classifier.sources in params.yaml leaves them out."
        )
    if len(alone) == 1:
        ((generator, percent), only) = next(iter(alone.items()))
        told = f"In place of the real images ({percent} % of the training data), those minted by {generator} {in_points(only, several=True)}"
        more = [f"; added to them, they {in_points(each, several=True)}" for each in added.values()]
        return told + "".join(more) + "."
    told = f"In place of the same real images, minted ones change accuracy by {_range(alone.values())} points ({_evidence(alone.values())})"
    if added:
        told += f"; added to them, by {_range(added.values())} points ({_evidence(added.values())})"
    return told + "."


def _range(differences: Iterable[Estimate]) -> str:
    values = sorted(100 * each.value for each in differences)
    ends = dict.fromkeys(f"{value:+.1f}".replace("-", "−") for value in (values[0], values[-1]))
    return " to ".join(ends)


def _evidence(differences: Iterable[Estimate]) -> str:
    every = list(differences)
    losses = sum(each.beyond_doubt and each.value < 0 for each in every)
    gains = sum(each.beyond_doubt and each.value > 0 for each in every)
    if not losses and not gains:
        return f"no evidence of a difference in any of {len(every)} comparisons"
    told = [f"a {name} in {count}" for name, count in (("loss", losses), ("gain", gains)) if count]
    return f"evidence of {' and of '.join(told)} of {len(every)} comparisons"


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
        else f"{seeds} replicates: intervals of accuracies and differences are Student's t over seeds, each of which draws its subset (unless that is all of the data), generators and classifiers anew, and the draw of the {n_test:,} test images, which they share."
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


def in_points(difference: Estimate, several: bool = False) -> str:
    """costs 0.8 ± 0.2 points, and whether that is evidence of anything. several: it is said of images, not of their set."""
    size = f"{abs(100 * difference.value):.1f} ± {100 * difference.half:.1f} points" + several * " of accuracy"
    ending = "" if several else "s"
    if difference.value == 0:
        return f"change{ending} nothing ({size})"
    verb, kind = ("gain", "gain") if difference.value > 0 else ("cost", "loss")
    doubt = "" if difference.beyond_doubt else f"{', which is' if several else ':'} no evidence of a {kind}"
    return f"{verb}{ending} {size}{doubt}"
