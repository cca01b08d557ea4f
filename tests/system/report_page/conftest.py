"""A report of random results and one browser for all tests of its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import random_arms
from tests.system.browser import Page, browser, emulate

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="package")
def report(params, tmp_path_factory) -> Path:
    """Two generators on two fractions of ten classes, one of which has a hostile name."""
    shown = replace(params, generators=["dcgan", "cgan"], percents=[40, 100])
    return random_arms.report(tmp_path_factory.mktemp("report"), shown, [EVIL, *map(str, range(1, 10))])


@pytest.fixture(scope="package")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium, report):
    """The report, freshly loaded at a width of 1280 pixels, in light mode."""
    emulate(chromium, 1280, "light")
    chromium.open(report.as_uri(), "What is synthetic noise data worth?", seconds=60)
    return chromium
