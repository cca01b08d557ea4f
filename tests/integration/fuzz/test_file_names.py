"""Names in archives that do not state their encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmint.data.file_names import decode_names

ZIP = Path("t.zip")


@pytest.mark.parametrize("encoding", ["cp437", "cp1252"])
@given(
    st.lists(
        st.from_regex("[A-Z]?([a-z]{1,3}[äåçéèñöüß]){1,3}[a-z]?", fullmatch=True),
        min_size=2,
        max_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_names_of_latin_letters_never_become_chinese(encoding, names):
    assert decode_names([f"{name}/0.png".encode(encoding) for name in names], ZIP) == [
        f"{name}/0.png" for name in names
    ]
