"""The additions of docs/extending.md, made from its own text in a copy of the project, then used."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from labelmint.metrics import registry
from tests.conftest import ROOT
from tests.system.clone import Clone

DOCUMENT = ROOT / "docs" / "extending.md"
FAMILY = ("labelmint/families/lsgan.py", "experiments/lsgan.yaml")


def files_of(document: Path) -> dict[str, str]:
    """Path -> content of the code blocks that begin with a path in a comment."""
    blocks = re.findall(
        r"```(?:python|yaml)\n# ((?:labelmint|stages|pipeline|experiments)/\S+)\n(.*?)```",
        document.read_text(encoding="utf-8"),
        re.S,
    )
    return dict(blocks)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        title = "" if not name.endswith(".yaml") or content.startswith("#") else "# Least-squares GAN.\n"
        path.write_text(title + content)


def test_family_is_one_file_and_its_settings(tmp_path):
    files = {name: content for name, content in files_of(DOCUMENT).items() if name in FAMILY}
    assert len(files) == 2 and sum(content.count("\n") for content in files.values()) <= 60

    clone = Clone(tmp_path)
    write(clone.folder, files)
    # The shrunk settings become the default that the experiment is laid over.
    (clone.folder / "experiments" / "default.yaml").write_text((clone.folder / "params.yaml").read_text())
    used = clone.run("labelmint", "use", "lsgan")
    assert used.returncode == 0, used.stderr
    assert "synthesize@lsgan-100-0" in clone.repro("synthesize")
    weights = clone.folder / "data" / "generators" / "lsgan-100-0" / "generator.safetensors"
    assert all(len(values) == 10 for values in load_file(weights).values())  # one generator a digit
    before = weights.read_bytes()

    # An edit of its file retrains this family alone, and changes the weights.
    path = clone.folder / "labelmint" / "families" / "lsgan.py"
    path.write_text(path.read_text().replace("(fake.logits + 1)", "(fake.logits + 3)"))
    assert clone.repro("synthesize") == ["train_generators@lsgan-100-0", "synthesize@lsgan-100-0"]
    assert weights.read_bytes() != before


@pytest.fixture(scope="module")
def clone(tmp_path_factory, workspace) -> Clone:
    made = Clone(tmp_path_factory.mktemp("extended"))
    write(made.folder, {name: text for name, text in files_of(DOCUMENT).items() if name not in FAMILY})
    for number, edit in enumerate(re.findall(r"```diff\n(.*?)```", DOCUMENT.read_text(), re.S)):
        (made.folder / "edit.diff").write_text(edit)
        done = subprocess.run(
            ["git", "apply", "-C1", "edit.diff"], cwd=made.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"edit {number}: {done.stderr}"
    (entry,) = re.findall(r"```yaml\n# dvc.yaml\n(.*?)```", DOCUMENT.read_text(), re.S)
    with (made.folder / "dvc.yaml").open("a") as file:
        file.write(entry)
    shutil.copytree(workspace.root / "data", made.folder / "data", dirs_exist_ok=True)
    return made


TRACKED = """
from pathlib import Path
from pipeline.settings import schema
from pipeline.tracking import spool
from pipeline.tracking.destinations import connect
from pipeline.tracking.ship import ship
from pipeline.tracking.spool_folder import waiting

root = Path.cwd()
spool.start_shipper = lambda root: None
chosen = schema.load(root / "params.yaml").tracking.chosen
tracker = spool.open_tracker(root, "averages", None, trackers=chosen)
tracker.log_metrics({"loss": 0.5}, step=3)
(folder,) = waiting(root)
for name in chosen:
    ship(connect(name, root), name, folder)
"""


class TestTheRest:
    """A data set, a metric, a source, a tracker and a stage, all in one copy of an existing workspace."""

    def stage(self, clone: Clone, *arguments: str) -> str:
        done = clone.run("python", "-m", "pipeline.stage", *arguments, LABELMINT_TRACKING="off")
        assert done.returncode == 0, done.stderr
        return done.stderr

    def test_the_metric_is_measured_described_and_reported(self, clone):
        self.stage(clone, "evaluate", "dcgan-100-0")
        found = json.loads((clone.folder / "data/metrics/dcgan-100-0.json").read_text())
        rows = {row["source"]: row for row in found["rows"]}
        # Generators of six steps are far from real images; real images of the same classes are close.
        assert 0 < rows["real"]["spectral_distance"] < rows["synthetic"]["spectral_distance"]
        assert rows["synthetic"]["measured"]["spectral_distance"]["n"] == 150
        assert "decibels" in found["protocol"]["spectral_distance"]
        self.stage(clone, "report")
        with (clone.folder / "reports" / "results.csv").open() as file:
            column = {row["source"]: row["spectral_distance"] for row in csv.DictReader(file)}
        assert float(column["synthetic"]) == pytest.approx(rows["synthetic"]["spectral_distance"], abs=1e-5)

    def test_the_metric_gives_known_answers(self, clone, noise, monkeypatch):
        monkeypatch.setattr(registry, "_metrics", {})  # the module registers itself
        monkeypatch.setattr(registry, "_image_functions", [])
        spec = importlib.util.spec_from_file_location(
            "spectrum", clone.folder / "labelmint/metrics/spectrum.py"
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        half = noise // 2
        assert module.spectral_distance(noise, noise) == 0
        assert module.spectral_distance(noise, noise[::-1]) == pytest.approx(0, abs=1e-9)  # order is nothing
        # Twice as bright is four times the power at every frequency.
        assert module.spectral_distance(half, half * 2) == pytest.approx(20 * np.log10(2), abs=1e-3)

    def test_the_stage_runs_and_the_graph_has_it(self, clone):
        assert "mean images of 10 classes" in self.stage(clone, "averages", "dcgan-100-0")
        assert Image.open(clone.folder / "data/averages/dcgan-100-0.png").size == (
            3 * (10 * 17 - 1),
            3 * (2 * 17 - 1),
        )
        listed = clone.run("dvc", "stage", "list", "--name-only").stdout.split()
        assert "averages@dcgan-100-0" in listed
        done = clone.run(
            "python", "-m", "pytest", "-q", "tests/unit/test_dvc_yaml.py", "-p", "no:cacheprovider"
        )
        assert done.returncode == 0, done.stdout[-3000:]

    def test_the_tracker_has_the_numbers_of_a_run(self, clone):
        params = clone.folder / "params.yaml"
        before = params.read_text()
        try:
            clone.change(tracking={"csv_files": True})
            done = clone.run("python", "-c", TRACKED)
        finally:
            params.write_text(before)
        assert done.returncode == 0, done.stderr
        (table,) = (clone.folder / "numbers").iterdir()
        assert table.read_text().splitlines()[:2] == ["part,name,step,value", ",loss,3,0.5"]

    def test_the_image_source_trains_a_classifier_of_its_own_images(self, clone):
        params = clone.folder / "params.yaml"
        before = params.read_text()
        try:
            clone.change(classifier={"sources": ["real", "mixed_equal"], "network": "small_cnn"})
            self.stage(clone, "train_classifiers", "dcgan-100-0")
        finally:
            params.write_text(before)
        facts = json.loads((clone.folder / "data/classifiers/dcgan-100-0/classifiers.json").read_text())
        assert (facts["mixed_equal"]["n_real"], facts["mixed_equal"]["n_synthetic"]) == (120, 120)

    def test_data_set_is_read_with_its_own_split(self, clone):
        """In UCI's format, from scikit-learn's images. Comes last: it prepares other images in the copy."""
        from sklearn.datasets import load_digits

        bundle = load_digits()
        rows = np.concatenate([bundle.data.astype(int), bundle.target[:, None]], axis=1)
        (clone.folder / "data" / "raw").mkdir()
        for name, part in (("optdigits.tra", rows[:1200]), ("optdigits.tes", rows[1200:])):
            np.savetxt(clone.folder / "data" / "raw" / name, part, "%d", ",")
        used = clone.run("labelmint", "use", "optdigits")
        assert used.returncode == 0, used.stderr
        self.stage(clone, "prepare")
        facts = json.loads((clone.folder / "data/tensors/dataset.json").read_text())
        assert (facts["name"], facts["n_train"], facts["n_test"]) == ("optdigits", 1200, 597)
        labels = np.load(clone.folder / "data/tensors/test/labels.npy")
        assert (labels == bundle.target[1200:]).all()
        (clone.folder / "data" / "raw" / "optdigits.tes").write_text("1,2,3\n")
        done = clone.run("python", "-m", "pipeline.stage", "prepare", LABELMINT_TRACKING="off")
        assert done.returncode == 2 and "expected 64 values of 0 to 16" in done.stderr.splitlines()[-1]
