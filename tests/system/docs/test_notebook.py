"""The example notebook runs as published and gives the published accuracies."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_notebook_runs_and_gives_the_published_accuracies(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    published = nbformat.read(NOTEBOOK, 4)
    assert NOTEBOOK.stat().st_size < 300_000 and all(
        cell.outputs for cell in _codes(published)[1:] if "fit(" not in cell.source
    )
    executed = nbformat.from_dict(published)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(executed, timeout=600, kernel_name="python3", resources=folder).execute()
    assert list(tmp_path.iterdir()) == [], "it leaves no file behind"
    before, after = _accuracies(published), _accuracies(executed)
    assert set(after) == {"real", "synthetic"} and before == pytest.approx(
        after, abs=3
    )  # other CPUs round otherwise
    assert after["real"] > 90 and after["synthetic"] > 60  # chance is 10
    images = [
        output
        for cell in _codes(executed)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(images) == 2


def _codes(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _accuracies(notebook) -> dict[str, float]:
    text = "".join(output.get("text", "") for cell in _codes(notebook) for output in cell.outputs)
    return {
        source: float(value) for source, value in re.findall(r"trained on (\w+) images: ([\d.]+) %", text)
    }
