"""The tables and the page."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from pipeline.stage import entry, select
from stages.prepare.files import load_json, save_json
from stages.prepare.layout import Layout
from stages.prepare.tracker import NullTracker
from stages.report import figures, replicates, tables
from stages.report.verdict import verdict


def row(source: str, accuracy: float, percent: int = 40, **more) -> dict:
    return {
        **{
            "dataset": "digits",
            "generator": "dcgan",
            "percent": percent,
            "seed": 0,
            "source": source,
            "n_real": 575,
            "n_synthetic": 0,
            "steps": 10,
        },
        **{
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.01,
            "accuracy_high": accuracy + 0.01,
            "macro_recall": accuracy,
            "worst_class_recall": 0.5,
            "difference": (difference := more.pop("difference", 0.0)),
            "difference_low": difference - 0.01,
            "difference_high": difference + 0.01,
        },
        **{"frechet_classifier": 1.5, "fid": None, "seconds": 3.25},
        **more,
    }


def test_csv_has_the_promised_columns_in_order(workspace):
    with (workspace.reports / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tables.COLUMNS
    assert [(each["percent"], each["source"]) for each in rows] == [
        ("100", "real"),
        ("100", "synthetic"),
        ("100", "mixed"),
    ]
    assert all(float(each["seconds"]) > 0 and each["fid"] == "" for each in rows)


def test_rows_are_ordered_by_arm_whatever_came_first():
    shuffled = [row("mixed", 0.9, 100), row("synthetic", 0.9), row("real", 0.9, 100), row("real", 0.9)]
    assert [(each["percent"], each["source"]) for each in tables.ordered(shuffled)] == [
        (40, "real"),
        (40, "synthetic"),
        (100, "real"),
        (100, "mixed"),
    ]


def test_verdict_says_which_way_it_went_and_whether_that_is_evidence():
    worse = verdict(
        [row("real", 0.98), row("synthetic", 0.955, difference=-0.025), row("mixed", 0.985, difference=0.005)], 359
    )
    assert "reaches 95.5 % on real test images; one trained on the same real images reaches 98.0 %" in worse[0]
    assert (
        "the minted set costs 2.5 ± 1.0 points. Adding it to the real images gains 0.5 ± 1.0 points: no evidence of a gain."
        in worse[0]
    )
    assert "not the luck of a training run" in worse[-1]
    same = verdict([row("real", 0.95), row("synthetic", 0.95), row("mixed", 0.94, difference=-0.004)], 359)[0]
    assert "changes nothing (0.0 ± 1.0 points)" in same and "costs 0.4 ± 1.0 points: no evidence of a loss." in same


def test_several_seeds_have_an_interval_over_seeds():
    """Student's t by hand: mean -0.02, deviation 0.01, t(0.975, 2) = 4.3027."""
    rows = [
        {**row(source, accuracy, difference=difference), "seed": seed}
        for seed, change in enumerate((-0.01, -0.02, -0.03))
        for source, accuracy, difference in (("real", 0.98, 0.0), ("synthetic", 0.98 + change, change))
    ]
    line = next(line for line in replicates.table(rows) if line["source"] == "synthetic")
    found = line["difference"]
    assert (found.value, found.seeds) == (pytest.approx(-0.02), 3)
    assert found.half == pytest.approx(4.302653 * 0.01 / np.sqrt(3), rel=1e-6) and not found.beyond_doubt
    assert line["accuracy"].value == pytest.approx(0.96)
    said = verdict(rows, 359)
    assert "costs 2.0 ± 2.5 points: no evidence of a loss" in said[0] and said[-1].startswith("3 replicates")


def test_a_sweep_is_drawn_by_the_number_of_images():
    one = [row("real", 0.98), row("synthetic", 0.95, n_synthetic=1000)]
    assert figures.sweep_plot(one) == ""
    assert "minted images trained on" in figures.sweep_plot([*one, row("synthetic_10", 0.8, n_synthetic=100)])
    order = [
        each["source"]
        for each in tables.ordered([row("synthetic_100", 0.9), row("untrained", 0.1), row("synthetic_20", 0.9), *one])
    ]
    assert order == ["real", "synthetic", "untrained", "synthetic_20", "synthetic_100"]


def test_page_needs_no_network_and_shows_every_part(workspace):
    page = (workspace.reports / "index.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', page)
    assert "<script" not in page and "@import" not in page
    for part in (
        "What are minted digits worth?",
        "Accuracy on real test images",
        "dcgan-100-0",
        "data:image/gif",
        "Recall per class",
        "Wilson, 95 %",
        "the twelve closest pairs",
        "Fréchet ∞",
        "images_seen" not in page and "images seen",
    ):
        assert part in page
    assert page.count("<svg") == 1 + 1 + 3
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_names_are_escaped(workspace, params, tmp_path):
    manifest = load_json(workspace.tensors / "manifest.json")
    manifest["title"] = manifest["notes"] = ["<script>alert(1)</script>"]
    manifest["bad_images"] = [{"image": "cat/<script>.png", "reason": "damaged (<script>)"}]
    manifest["duplicates"]["near_test_in_training"] = 17
    evil = Layout(tmp_path)
    for folder in ("data", "reports"):
        (tmp_path / folder).mkdir()
    for path in (workspace.root / "data").iterdir():
        if path.name != "tensors":
            (tmp_path / "data" / path.name).symlink_to(path)
    evil.tensors.mkdir()
    for path in workspace.tensors.iterdir():
        if path.name != "manifest.json":
            (evil.tensors / path.name).symlink_to(path)
    save_json(evil.tensors / "manifest.json", manifest)
    module = entry("report")
    module.run(select(module.Params, replace(params, percents=[100]), None), evil, NullTracker())
    page = (evil.reports / "index.html").read_text()
    assert "<script>" not in page
    assert "1 bad images: cat/&lt;script&gt;.png (damaged" in page and "17 test images have a near duplicate" in page


def test_plots_have_the_same_bytes_each_time():
    rows = [row(source, 0.9, percent) for source in ("real", "synthetic", "mixed") for percent in (40, 100)]
    assert figures.accuracy_plot(rows) == figures.accuracy_plot(rows)
