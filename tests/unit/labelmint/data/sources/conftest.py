"""Fixtures of the tests of readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labelmint.data.source import Content, Source


@pytest.fixture
def contents() -> Callable[..., list[Content]]:
    """Function that reads the images at given indices: `contents(source, 3, 0)`."""

    def read(source: Source, *indices: int) -> list[Any]:
        with source.images.open() as image:
            return [image(index) for index in indices]

    return read
