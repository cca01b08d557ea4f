"""Text files are UTF-8 whatever the locale. Ruff's PLW1514 sees only paths whose type it can infer."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("folder", ["labelmint", "stages", "pipeline", "benchmarks"])
def test_every_text_file_names_its_encoding(folder):
    silent = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("read_text", "write_text")
        and "encoding" not in {keyword.arg for keyword in call.keywords}
    ]
    assert silent == []
