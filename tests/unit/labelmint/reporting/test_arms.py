"""Limits of an arm's section."""

from __future__ import annotations

from labelmint.reporting.arms import Budget, per_class


def test_many_arms_get_less_each():
    few, many = Budget.of(2), Budget.of(40)
    assert (few.classes, many.classes) == (200, 20)
    assert 40 * many.picture_bytes <= 2_200_000
    assert many.bytes_for(0.5) == many.picture_bytes // 2


def test_of_many_classes_those_with_the_lowest_recall_are_shown():
    metrics = {
        "classes": ["a", "b", "c"],
        "rows": [
            {"source": "real", "recalls": [0.1, 0.9, 0.9]},
            {"source": "synthetic", "recalls": [0.8, 0.7, None], "kid_per_class": [0.5, None, 0.25]},
        ],
        "gan_test": None,
    }
    table = per_class(metrics, 2)
    assert table["columns"] == [("real", True), ("synthetic", True), ("KID, synthetic", False)]
    assert table["lines"] == [("b", [0.9, 0.7, None]), ("a", [0.1, 0.8, 0.5])]
    assert table["omitted"] == 1
