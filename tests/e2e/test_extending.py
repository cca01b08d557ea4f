"""A family of generators added as docs/extending.md says, by its own text, in a copy of the project; then used and edited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.conftest import ROOT
from tests.e2e.test_repro import Clone

pytestmark = pytest.mark.slow


def files_of(document: Path) -> dict[str, str]:
    """path -> content of the code blocks that begin with a path in a comment."""
    blocks = re.findall(r"```(?:python|yaml)\n# ((?:stages|experiments)/\S+)\n(.*?)```", document.read_text(), re.S)
    return dict(blocks)


def test_a_family_is_one_file_and_its_settings(tmp_path):
    files = files_of(ROOT / "docs" / "extending.md")
    code, experiment = files["stages/train_generators/families/lsgan.py"], files["experiments/lsgan.yaml"]
    assert code.count("\n") + experiment.count("\n") <= 60

    clone = Clone(tmp_path)
    for name, content in files.items():
        path = clone.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(("# Least-squares GAN.\n" if name.endswith(".yaml") else "") + content)
    # The shrunk settings become the default that the experiment is laid over.
    (clone.folder / "experiments" / "default.yaml").write_text((clone.folder / "params.yaml").read_text())
    used = clone.run("labelmint", "use", "lsgan")
    assert used.returncode == 0, used.stderr
    assert "synthesize@lsgan-100-0" in clone.repro("synthesize")
    weights = clone.folder / "data" / "generators" / "lsgan-100-0" / "generator.safetensors"
    assert all(len(values) == 10 for values in load_file(weights).values())  # one generator a digit
    before = weights.read_bytes()

    # An edit of its file trains it anew, and it alone; the change shows in the weights.
    path = clone.folder / "stages" / "train_generators" / "families" / "lsgan.py"
    path.write_text(path.read_text().replace("(judged.source + 1)", "(judged.source + 3)"))
    assert clone.repro("synthesize") == ["train_generators@lsgan-100-0", "synthesize@lsgan-100-0"]
    assert weights.read_bytes() != before
