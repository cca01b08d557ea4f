"""Folder names of classes."""

from __future__ import annotations

from labelmint.export.formats import folder_names


def test_characters_that_are_invalid_in_file_names_are_replaced():
    assert folder_names(["T-shirt/top", "..", "a:b", " x. "]) == ["T-shirt_top", "_", "a_b", "x"]


def test_names_that_become_equal_get_an_index():
    assert folder_names(["a/b", "a:b", "A_B", "c"]) == ["a_b~0", "a_b~1", "A_B~2", "c"]
