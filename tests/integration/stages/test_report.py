"""The stage report, on arms with random results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape

from labelmint.reporting import tables
from labelmint.reporting.tables import read_results
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.devices import processor_name
from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests import random_arms

ARM = Arm("dcgan", 100, 0)
CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture
def one_arm(params):
    return replace(params, percents=[100])


@pytest.fixture
def paths(one_arm, tmp_path) -> Paths:
    """A workspace with the results of one arm."""
    paths = Paths(tmp_path)
    random_arms.write_workspace(paths, one_arm, CLASSES)
    return paths


@pytest.fixture(scope="module")
def reported(params, tmp_path_factory) -> Paths:
    """The same, and its report."""
    root = tmp_path_factory.mktemp("reported")
    random_arms.report(root, replace(params, percents=[100]), CLASSES)
    return Paths(root)


def changed(path: Path, change) -> None:
    content = load_json(path)
    change(content)
    save_json(path, content)


def test_doubts_are_on_the_page_in_the_table_and_counted(params, tmp_path):
    """A first look, in which no number is a result."""
    paths, quick = Paths(tmp_path), replace(params, percents=[100], first_look=True)
    random_arms.report(tmp_path, quick, CLASSES)
    page = (paths.reports / "index.html").read_text()
    assert '<p class="headline">QUICK: no number here is a result.</p>' in page
    warnings = (paths.reports / "results.md").read_text().count("**Warning:** ")
    assert warnings == load_json(paths.reports / "summary.json")["warnings"] >= 1
    banner = page[page.index('<section class="doubts"') :].partition("</section>")[0]
    assert banner.count("<p>") == warnings


def test_the_table_has_its_columns_and_rows_in_order(reported):
    rows = read_results(reported.reports / "results.csv")
    assert list(rows[0]) == tables.columns()
    assert [(row["percent"], row["source"]) for row in rows] == [
        (100, "real"),
        (100, "synthetic"),
        (100, "mixed"),
    ]
    assert [row["seconds"] for row in rows] == [1.0, 3.0, 3.0]
    assert [row["n_frechet"] for row in rows] == [100, 100, None]
    assert "(n = 100)" in (reported.reports / "results.md").read_text()


def test_the_page_is_self_contained_and_complete(reported):
    page = (reported.reports / "index.html").read_text()
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page)) == {"results.csv"}  # only a link
    assert page.count("<script>") == 1
    assert "@import" not in page
    assert "url(" not in page
    for part in (
        "What is synthetic noise data worth?",
        f"<dd>{escape(processor_name())}, ",
        "In this run of one seed, replacing the real images (100 % of the training data) with synthetic "
        "images from dcgan",
        "Accuracy on real test images",
        "dcgan-100-0",
        "epoch 2",
        "Probability given by the discriminator",
        "Recall per class",
        "for the choice of the test images only, not the variation between training runs",
        "the twelve closest pairs",
        "n = 100 images, as many real as synthetic ones of an arm, against 100 images of the test split",
        "] of the labels of 100 synthetic images (GAN-test)",
        "Fréchet ∞",
        "labelmint sample dcgan-100-0",
        load_json(reported.generator(ARM) / "architecture.json")["trained_on"]["images_sha256"],
    ):
        assert part in page
    assert page.count('<svg class="chart"') == 2 + 5  # accuracy, precision and recall; the arm's curves
    assert page.count('class="heat"') == 3
    assert page.count('class="frame"') == 6
    assert page.count("<b>Protocol.</b>") >= page.count("<figcaption>") - 3  # confusion matrices share one
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_links_to_its_run(one_arm, paths):
    class Known(NullTracker):
        def page(self) -> str:
            return "http://127.0.0.1:5000/#/experiments/1/runs/2?a=b"

    module = entry("report")
    module.run(select(module.Params, one_arm, None), paths, Known())
    page = (paths.reports / "index.html").read_text()
    assert '<a href="http://127.0.0.1:5000/#/experiments/1/runs/2?a=b">this run in MLflow</a>' in page


def test_untrusted_names_are_escaped(one_arm, paths):
    def spoil(manifest):
        manifest["title"] = manifest["notes"] = ["<script>alert(1)</script>"]
        manifest["bad_images"] = [{"image": "cat/<script>.png", "reason": "damaged (<script>)"}]
        manifest["duplicates"]["near_test_in_training"] = 17

    changed(paths.tensors / "manifest.json", spoil)
    page = random_arms.run_report(paths, one_arm).read_text()
    assert page.count("<script>") == 1  # the page's own
    assert "1: cat/&lt;script&gt;.png (damaged" in page
    assert "17 test images have a near duplicate" in page


def test_another_split_is_pointed_out(one_arm, paths):
    changed(paths.metrics(ARM), lambda content: content.update(split="validation"))
    page = random_arms.run_report(paths, one_arm).read_text()
    assert "Evaluated on the validation images (400), not on the test set" in page


def test_several_seeds_are_averaged(params, tmp_path):
    page = random_arms.report(tmp_path, replace(params, percents=[100], seeds=[0, 1]), ["a", "b"]).read_text()
    assert "Means over replicates" in page
    assert "for the choice of the test images and the variation between seeds" in page
    table = (tmp_path / "reports" / "results.md").read_text()
    answer, coverage = table.split("\n\n")[-4:-2]
    assert answer in page
    assert coverage in page
    assert answer.endswith("(p ≤ 0.05, adjusted for 2 comparisons (Holm), 2 seeds).")
    assert "| dcgan | 100 % | mixed | 2 | " in table


def _in_every_row(change):
    return lambda content: [change(row) for row in content["rows"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("rows"),
        lambda content: content.pop("nearest"),
        lambda content: content.pop("classes"),
        lambda content: content.update(rows="three"),
        lambda content: content.update(rows=[7]),
        _in_every_row(lambda row: row.pop("accuracy")),
        _in_every_row(lambda row: row.update(accuracy="high")),
        _in_every_row(lambda row: row.update(source="elsewhere")),
    ],
    ids=[
        "no rows",
        "no pairs",
        "no classes",
        "text",
        "numbers",
        "no accuracy",
        "accuracy in words",
        "source",
    ],
)
def test_a_damaged_metrics_file_is_named(one_arm, paths, change):
    changed(paths.metrics(ARM), change)
    with pytest.raises(InputError) as raised:
        random_arms.run_report(paths, one_arm)
    assert str(raised.value).startswith(f"{paths.metrics(ARM)}: not what a stage of this version writes (")
    assert not paths.reports.exists()


@pytest.mark.parametrize("content", [{}, {"n_test": "many"}, []])
def test_a_damaged_description_of_the_data_is_named(one_arm, paths, content):
    save_json(paths.tensors / "dataset.json", content)
    with pytest.raises(InputError, match=r"dataset\.json: "):
        random_arms.run_report(paths, one_arm)


def test_without_a_generator_there_is_nothing_to_compare(one_arm, paths):
    nothing = replace(one_arm, generators=[])
    entry("report").run(select(entry("report").Params, nothing, None), paths, NullTracker())
    page = (paths.reports / "index.html").read_text(encoding="utf-8")
    assert "Nothing to compare: params.yaml names no generator." in page
