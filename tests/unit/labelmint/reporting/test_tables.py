"""Tables of results."""

from __future__ import annotations

import pytest

from labelmint.reporting import tables
from labelmint.runtime.atomic_files import save_table
from labelmint.runtime.errors import InputError
from tests.unit.labelmint.reporting.rows import row

MEASURED = {"frechet_classifier": {"n": 1200}, "kid": {"n": 500, "network": "sha256 ab"}}


def test_rows_are_ordered_by_arm_and_source():
    shuffled = [row("mixed", 0.9, 100), row("synthetic", 0.9), row("real", 0.9, 100), row("real", 0.9)]
    assert [(each["percent"], each["source"]) for each in tables.ordered(shuffled)] == [
        (40, "real"),
        (40, "synthetic"),
        (100, "real"),
        (100, "mixed"),
    ]
    names = ["synthetic_100", "untrained", "synthetic_20", "synthetic", "real"]
    ordered = [each["source"] for each in tables.ordered([row(name, 0.9) for name in names])]
    assert ordered == ["real", "synthetic", "untrained", "synthetic_20", "synthetic_100"]


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="elsewhere"):
        tables.ordered([row("elsewhere", 0.9)])


def test_results_are_read_as_they_were_written(tmp_path):
    rows = tables.to_table([row("synthetic", 0.875, measured=MEASURED), row("real", 0.9)])
    save_table(tmp_path / "results.csv", tables.columns(), rows)
    real, synthetic = tables.read_results(tmp_path / "results.csv")
    assert list(real) == tables.columns()
    assert (real["source"], synthetic["source"]) == ("real", "synthetic")
    assert (synthetic["accuracy"], synthetic["percent"], synthetic["fid"]) == (0.875, 40, None)
    assert (synthetic["n_frechet"], synthetic["n_points"]) == (1200, 500)
    assert (synthetic["feature_network"], real["feature_network"]) == ("sha256 ab", None)


@pytest.mark.parametrize("content", ["a,b\n1\n", "a,b\n1,2,3\n", "a\n\x00\n\xff\n"])
def test_a_damaged_table_is_refused_by_name(tmp_path, content):
    (tmp_path / "results.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"results\.csv"):
        tables.read_results(tmp_path / "results.csv")


def test_markdown_shows_accuracy_difference_and_distance():
    rows = [row("real", 0.9), row("synthetic", 0.85, difference=-0.05, measured=MEASURED, n_synthetic=1000)]
    rows = [{**each, "measured": MEASURED} for each in rows]
    *_, real, synthetic = tables.to_markdown(rows).splitlines()
    assert real == "| – | 40 % | 0 | real | 575 + 0 | 90.00 [89.00, 91.00] | – | 50.0 % | 1.50 (n = 1,200) |"
    assert synthetic.startswith(
        "| dcgan | 40 % | 0 | synthetic | 575 + 1,000 | 85.00 [84.00, 86.00] | -5.00 ± 1.00 |"
    )


def test_images_without_labels_have_no_accuracy():
    rows = [row("real", 0.9), {**row("synthetic", 0.0), "accuracy": None}]
    rows = [{**each, "measured": MEASURED} for each in rows]
    assert "| no labels | – | – |" in tables.to_markdown(rows)
    assert tables.to_summary(rows) == {"dcgan-40": {"accuracy_real": 0.9, "frechet_synthetic": 1.5}}


def test_summary_has_means_over_replicates_of_the_main_sources():
    rows = [
        {**row(source, accuracy), "seed": seed, "measured": MEASURED}
        for seed, change in ((0, 0.0), (1, 0.02))
        for source, accuracy in (("real", 0.9 + change), ("synthetic", 0.8 + change), ("synthetic_10", 0.5))
    ]
    expected = {"accuracy_real": 0.91, "accuracy_synthetic": 0.81, "frechet_synthetic": 1.5}
    assert tables.to_summary(rows) == {"dcgan-40": expected}


def test_metrics_of_similarity_are_those_with_a_value():
    rows = [row("real", 0.9, kid=0.5), row("synthetic", 0.9, memorised=0.1, exact_copies=0, precision=0.0)]
    assert [metric.name for metric in tables.similarity_metrics(rows)] == [
        "kid",
        "frechet_classifier",
        "precision",
    ]
