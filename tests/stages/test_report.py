"""The tables and the page."""

from __future__ import annotations

import base64
import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from labelmint.reporting import charts, figures, replicates, sheets, tables
from labelmint.reporting.confusion import confusion
from labelmint.reporting.verdict import headline, verdict
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths


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
    assert all(float(each["seconds"]) > 0 and each["fid"] == each["n_inception"] == "" for each in rows)
    digest = load_json(workspace.feature_network / "network.json")["sha256"]
    how = [(each["n_frechet"], each["n_points"], each["n_memorised"], each["feature_network"]) for each in rows]
    assert how == [("120", "120", "", f"sha256 {digest}"), ("120", "120", "150", f"sha256 {digest}"), ("",) * 4]
    assert "(n = 120)" in (workspace.reports / "results.md").read_text()


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


def test_replicates_that_agree_are_no_surer_than_their_test_images():
    rows = [{**row("synthetic", 0.978, difference=-0.002), "seed": seed} for seed in range(3)]
    found = replicates.table(rows)[0]["difference"]
    assert found.half == pytest.approx(0.01) and not found.beyond_doubt


def test_several_seeds_have_an_interval_over_seeds():
    """By hand: mean -0.02, deviation 0.01, t(0.975, 2) = 4.3027; each replicate's own interval is 0.01 each way."""
    rows = [
        {**row(source, accuracy, difference=difference), "seed": seed}
        for seed, change in enumerate((-0.01, -0.02, -0.03))
        for source, accuracy, difference in (("real", 0.98, 0.0), ("synthetic", 0.98 + change, change))
    ]
    line = next(line for line in replicates.table(rows) if line["source"] == "synthetic")
    found = line["difference"]
    assert (found.value, found.seeds) == (pytest.approx(-0.02), 3)
    assert (
        found.half == pytest.approx(np.hypot(4.302653 * 0.01 / np.sqrt(3), 0.01), rel=1e-6) and not found.beyond_doubt
    )
    assert line["accuracy"].value == pytest.approx(0.96)
    said = verdict(rows, 359)
    assert "costs 2.0 ± 2.7 points: no evidence of a loss" in said[0] and said[-1].startswith("3 replicates")


def test_a_sweep_is_drawn_by_the_number_of_images():
    one = [row("real", 0.98), row("synthetic", 0.95, n_synthetic=1000)]
    assert not figures.sweep(one)
    drawn = figures.sweep([*one, row("synthetic_10", 0.8, n_synthetic=100)]).svg
    assert "minted images trained on" in drawn and "with 100 minted images" in drawn and "with 1,000 minted" in drawn
    order = [
        each["source"]
        for each in tables.ordered([row("synthetic_100", 0.9), row("untrained", 0.1), row("synthetic_20", 0.9), *one])
    ]
    assert order == ["real", "synthetic", "untrained", "synthetic_20", "synthetic_100"]


def test_page_needs_no_network_and_shows_every_part(workspace):
    page = (workspace.reports / "index.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]+"', page)
    assert page.count("<script>") == 1 and "@import" not in page and "url(" not in page
    for part in (
        "What are minted digits worth?",
        "In place of the real images (100 % of the training data), those minted by dcgan",
        "Accuracy on real test images",
        "dcgan-100-0",
        "epoch 2",
        "Probability that D gives",
        "Recall per class",
        "Wilson, 95 %",
        "the twelve closest pairs",
        "n = 120 images, as many real as minted ones of an arm, against 120 of the test split",
        "] of the labels of 150 of this arm",
        "Fréchet ∞",
        "labelmint sample dcgan-100-0",
        load_json(workspace.generator(Arm("dcgan", 100, 0)) / "architecture.json")["trained_on"]["images_sha256"],
    ):
        assert part in page
    assert page.count('<svg class="chart"') == 2 + 5  # accuracy, the plane, and the arm's curves
    assert page.count('class="heat"') == 3 and page.count('class="frame"') == 2
    assert page.count("<b>Protocol.</b>") >= page.count("<figcaption>") - 3  # matrices share one
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_names_are_escaped(workspace, params, tmp_path):
    manifest = load_json(workspace.tensors / "manifest.json")
    manifest["title"] = manifest["notes"] = ["<script>alert(1)</script>"]
    manifest["bad_images"] = [{"image": "cat/<script>.png", "reason": "damaged (<script>)"}]
    manifest["duplicates"]["near_test_in_training"] = 17
    evil = Paths(tmp_path)
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
    assert page.count("<script>") == 1  # the page's own
    assert "1 bad images: cat/&lt;script&gt;.png (damaged" in page and "17 test images have a near duplicate" in page


def test_charts_have_the_same_bytes_each_time_and_say_their_numbers():
    rows = [row(source, 0.9, percent) for source in ("real", "synthetic", "mixed") for percent in (40, 100)]
    chart = figures.accuracy(rows)
    assert chart == figures.accuracy(rows)
    assert chart.svg.count('class="pt"') == 6 and "90.00 % (89.00 to 91.00) with 40 % of the real data" in chart.svg


def test_points_lie_where_their_numbers_say():
    """x from 0 to 10 over 40 to 350, y from 0 to 1 over 204 to 22: by hand."""
    series = charts.Series("line", [charts.Point(0, 0), charts.Point(5, 0.5, 0.25, 1), charts.Point(10, 1)])
    axes = charts.Axis("x", least=0, most=10), charts.Axis("y", least=0, most=1)
    drawn = charts.line_chart("t", *axes, [series])
    assert 'points="40.0,204.0 195.0,113.0 350.0,22.0"' in drawn and "M195.0,158.5V22.0" in drawn
    assert "0.5 (0.25 to 1) at 5" in drawn


def test_scores_without_bounds_are_not_shown_as_probabilities():
    table = [
        {"class": "a", "images_seen": 10.0, "health": "ok"}
        | dict.fromkeys(["d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "diversity", "g_gradient"], 0.5)
        | {"d_score_real": 0.0, "d_score_fake": -1.0986122886681098}
    ]  # fmt: skip
    told = dict(figures.training(table, "dcgan", 10))["Probability that D gives"].svg
    assert 'data-tip="0.5 at 10"' in told and 'data-tip="0.25 at 10"' in told  # the logistic function of 0 and of -ln 3
    assert 'data-tip="-1.1 at 10"' in dict(figures.training(table, "wgan", 10))["Output of D"].svg


def test_one_sentence_over_many_comparisons_picks_no_best_one():
    rows = [
        row(source, 0.9, percent, difference=difference)
        for percent, minted, mixed in ((40, -0.05, 0.002), (100, -0.005, 0.02))
        for source, difference in (("real", 0.0), ("synthetic", minted), ("mixed", mixed))
    ]
    assert headline(rows) == (
        "In place of the same real images, minted ones change accuracy by −5.0 to −0.5 points (evidence of a loss in 1 of 2 "
        "comparisons); added to them, by +0.2 to +2.0 points (evidence of a gain in 1 of 2 comparisons)."
    )
    alone = headline([each for each in rows if each["percent"] == 40])
    assert "those minted by dcgan cost 5.0 ± 1.0 points of accuracy; added to them, they gain 0.2 ± 1.0 points" in alone
    assert alone.endswith("which is no evidence of a gain.")
    unlabelled = [row("real", 0.9), row("synthetic", 0.0) | {"accuracy": None}]
    assert headline(unlabelled).startswith("The minted images bear no labels")


def test_a_picture_takes_no_more_bytes_than_it_may():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    for most in (200_000, 20_000, 3_000):
        shown = sheets.picture(noise, 50, most)
        assert len(base64.b64decode(shown.uri.split(",")[1])) <= most
        assert (shown.width, shown.height) == (208, 208)


def test_confusions_of_many_classes_are_a_picture_with_the_commonest_mistakes():
    counts = 10 * np.eye(30, dtype=int)
    counts[3, 7] = 5
    many = confusion("real", counts.tolist(), [f"c{place}" for place in range(30)], 20_000)
    assert many.mistakes == [("c3", "c7", 5)] and many.cells == [] and many.right == pytest.approx(300 / 305)
    few = confusion("real", [[3, 1], [0, 4]], ["a", "b"], 20_000)
    assert few.picture is None and few.cells[0][1].share == 0.25
