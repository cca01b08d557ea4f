"""Plots as SVG text and pictures as PNG, the same bytes for the same numbers."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.report.replicates import by_source, estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"real": "#3b6fb6", "synthetic": "#d1642e", "mixed": "#3f8f5f"}
_MARKERS = {"real": "o", "synthetic": "s", "mixed": "^"}
_LABELS = {"real": "real images only", "synthetic": "minted images only", "mixed": "real + minted"}
_CURVES = {
    "d_loss_real": "D loss, real",
    "d_loss_fake": "D loss, fake",
    "g_loss": "G loss",
    "d_acc_real": "D accuracy, real",
    "d_acc_fake": "D accuracy, fake",
    "diversity": "diversity",
}


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, np.ndarray]:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "labelmint"
    rcParams["svg.fonttype"] = "none"
    rcParams["font.family"] = "sans-serif"
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def accuracy_plot(rows: list[dict[str, Any]]) -> str:
    """Accuracy against percent, one line per generator and source; bars are 95 % intervals, over seeds where there are several."""
    figure, (axes,) = _figure(7.2, 4.2)
    generators = sorted({row["generator"] for row in rows})
    series = [("real", generators[0])] + [
        (source, generator) for generator in generators for source in ("synthetic", "mixed")
    ]
    groups = by_source(rows)
    for offset, (source, generator) in enumerate(series):
        found = {
            percent: estimate(own, "accuracy")
            for (name, percent, kind), own in groups.items()
            if (name, kind) == (generator, source)
        }
        if not found:
            continue  # a generator whose images bear no labels, or a source that was not asked for
        percents = sorted(found)
        middle = np.array([found[percent].value for percent in percents])
        low = np.array([found[percent].low for percent in percents])
        high = np.array([found[percent].high for percent in percents])
        shifted = np.array(percents) + 0.7 * (offset - (len(series) - 1) / 2)  # so that bars do not hide each other
        label = _LABELS[source] + (f", {generator}" if source != "real" and len(generators) > 1 else "")
        errors = 100 * np.stack([middle - low, high - middle]).clip(0)
        axes.errorbar(
            shifted,
            100 * middle,
            errors,
            color=_COLOURS[source],
            marker=_MARKERS[source],
            capsize=3,
            linewidth=1.6,
            label=label,
        )
    axes.set_xlabel("share of the real training data, %")
    axes.set_ylabel("accuracy on real test images, %")
    axes.set_xticks(sorted({row["percent"] for row in rows}))
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _svg(figure)


def sweep_plot(rows: list[dict[str, Any]]) -> str:
    """Accuracy of classifiers trained on minted images only against how many, a line per generator and percent; "" of no sweep."""
    sweep = {
        key: own
        for key, own in by_source(rows).items()
        if key[2] == "synthetic" or key[2].removeprefix("synthetic_").isdigit()
    }
    if len(sweep) == len({key[:2] for key in sweep}):
        return ""
    figure, (axes,) = _figure(7.2, 3.6)
    for generator, percent in sorted({key[:2] for key in sweep}):
        found = {
            own[0]["n_synthetic"]: estimate(own, "accuracy")
            for key, own in sweep.items()
            if key[:2] == (generator, percent)
        }
        counts = sorted(found)
        middle = np.array([found[count].value for count in counts])
        errors = np.array([[found[count].value - found[count].low, found[count].high - found[count].value] for count in counts])  # fmt: skip
        axes.errorbar(
            counts, 100 * middle, 100 * errors.T.clip(0), marker="s", capsize=3, label=f"{generator}, {percent} %"
        )
    axes.set_xscale("log")
    axes.set_xlabel("minted images trained on")
    axes.set_ylabel("accuracy on real test images, %")
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _svg(figure)


def training_plot(table: list[dict[str, str]]) -> str:
    """Losses, D's accuracies and diversity against images seen: the mean over classes, and the band from least to most."""
    figure, (losses, accuracies, diversities) = _figure(9.6, 2.6, 3)
    panels = {"loss": losses, "acc": accuracies, "diversity": diversities}
    for name, label in _CURVES.items():
        axes = next(axes for part, axes in panels.items() if part in name)
        by_point = defaultdict(list)
        for row in table:
            by_point[float(row["images_seen"])].append(float(row[name]))
        points = sorted(by_point)
        (line,) = axes.plot(points, [np.mean(by_point[point]) for point in points], label=label, linewidth=1.6)
        axes.fill_between(
            points,
            [min(by_point[point]) for point in points],
            [max(by_point[point]) for point in points],
            color=line.get_color(),
            alpha=0.15,
            linewidth=0,
        )
    for axes, title in ((losses, "loss"), (accuracies, "share D gets right"), (diversities, "diversity")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("images seen, per generator")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    diversities.axhline(1, color="grey", linewidth=0.8, linestyle=":")
    diversities.set_ylim(bottom=0)
    accuracies.set_ylim(0, 1)
    return _svg(figure)


def confusion_plot(confusion: list[list[int]], classes: list[str]) -> str:
    """Rows: true class; columns: predicted. Shaded by share of the row; numbers are counts, zeros left out."""
    counts = np.array(confusion)
    side = min(6.0, 1.6 + 0.24 * len(classes))
    figure, (axes,) = _figure(side, side)
    axes.imshow(counts / counts.sum(1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 20:
        for row, column in zip(*np.nonzero(counts)):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if row == column else "black",
            )
        axes.set_xticks(range(len(classes)), classes, fontsize=7)
        axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set_xlabel("predicted", fontsize=8)
    axes.set_ylabel("true", fontsize=8)
    return _svg(figure)


def data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
