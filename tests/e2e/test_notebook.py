"""The example notebook runs as it is, and what it shows is what it was published with."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_it_runs_and_shows_what_it_says(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    published = nbformat.read(NOTEBOOK, 4)
    assert NOTEBOOK.stat().st_size < 300_000 and all(
        cell.outputs for cell in _codes(published)[1:] if "fit(" not in cell.source
    )
    executed = nbformat.from_dict(published)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(executed, timeout=600, kernel_name="python3", resources=place).execute()
    assert list(tmp_path.iterdir()) == [], "it leaves no file behind"
    before, after = _accuracies(published), _accuracies(executed)
    assert set(after) == {"real", "minted"} and before == pytest.approx(after, abs=3)  # other CPUs round otherwise
    assert after["real"] > 90 and after["minted"] > 60  # chance is 10
    images = [output for cell in _codes(executed) for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(images) == 2


def _codes(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _accuracies(notebook) -> dict[str, float]:
    text = "".join(output.get("text", "") for cell in _codes(notebook) for output in cell.outputs)
    return {source: float(value) for source, value in re.findall(r"trained on (\w+) images: ([\d.]+) %", text)}


def test_fit_gives_the_weights_of_the_stage(workspace, params):
    """The same images and seed: in memory as on disk, bit for bit."""
    import numpy as np

    from labelmint.data.storage.tensors import load_set
    from labelmint.gans import archive
    from labelmint.training.fit import fit
    from stages.paths import Arm

    images, labels = load_set(workspace.tensors)
    made = fit(np.array(images), labels, [str(digit) for digit in range(10)], "dcgan", params.families["dcgan"], params.training, 0, params.compute)  # fmt: skip
    stage = archive.load(workspace.generator(Arm("dcgan", 100, 0)))
    assert made.weights.keys() == stage.weights.keys()
    assert all(np.array_equal(values, stage.weights[name]) for name, values in made.weights.items())
