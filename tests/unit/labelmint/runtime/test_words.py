"""Suggestions and short lists in messages."""

from __future__ import annotations

import pytest

from labelmint.runtime.words import did_you_mean, shortened


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epoch", "; did you mean 'epochs'?"),
        ("EPOCHS", "; did you mean 'epochs'?"),
        ("male", "; did you mean 'Male'?"),
        ("zzz", ""),
    ],
)
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["epochs", "batch_size", "Male"]) == hint


def test_shortened_names_a_few_and_counts_the_rest():
    assert shortened(["a"]) == "a"
    assert shortened(list("abcdef")) == "a, b, c and 3 more"
    assert shortened(list("abcdef"), 6) == "a, b, c, d, e, f"
