"""Suggestions and short lists in messages."""

from __future__ import annotations

import pytest

from labelmint.runtime.words import counted, did_you_mean, duration, shortened


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


def test_several_suggestions():
    known = ["mnist", "mnist_quick", "mnist_report", "cgan_mnist", "faces"]
    assert did_you_mean("mnist_quik", known, count=3) == "; did you mean 'mnist_quick' or 'mnist'?"
    assert did_you_mean("abcd", ["abc", "abce", "abcf", "x"], 3).count("'") == 6
    assert did_you_mean("fces", known, count=3) == "; did you mean 'faces'?"


def test_counted_things_have_their_plural():
    assert [counted(number, "image") for number in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]


def test_shortened_names_a_few_and_counts_the_rest():
    assert shortened(["a"]) == "a"
    assert shortened(list("abcdef")) == "a, b, c and 3 more"
    assert shortened(list("abcdef"), 6) == "a, b, c, d, e, f"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (3599.6, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
