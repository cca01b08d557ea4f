"""The table of the benchmark that counts collapsed generators."""

from __future__ import annotations

from benchmarks import collapse


def test_row_of_each_generator_says_whether_it_collapsed():
    content = {
        "classes": ["8", "9"],
        "rows": [
            {"source": "real", "recalls": [1.0, 0.98]},
            {"source": "synthetic", "recalls": [0.9, 0.5], "diversity_per_class": [0.8, 0.2]},
        ],
        "gan_test": {"recalls": [0.95, 0.4]},
    }
    lines = collapse.table({"8-9, 40 %, seed 0": content}).splitlines()
    assert lines[2:] == [
        "| 8-9, 40 %, seed 0 | 8 | 0.80 | no | 95.0 | 90.0 | 100.0 |",
        "| 8-9, 40 %, seed 0 | 9 | 0.20 | yes | 40.0 | 50.0 | 98.0 |",
    ]


def test_settings_are_those_of_the_report():
    found = collapse.settings()
    assert found["families"]["dcgan"]["generator"]["dense_filters"] == 256
    assert (found["training"]["epochs"], found["training"]["restarts"]) == (80, 0)
