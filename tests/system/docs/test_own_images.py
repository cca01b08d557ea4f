"""The README's section on your own images, command by command, on three classes of real photographs."""

from __future__ import annotations

import csv
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import IO, cast

import pytest

from tests.conftest import ROOT, SHARED
from tests.documents import blocks, commands
from tests.system.clone import Clone

CLASSES, EACH = ("bird", "frog", "ship"), 200


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with photos.zip in it."""
    archive = SHARED / "cifar10-images.tar"
    if not archive.exists():
        pytest.skip(f"{archive} is missing; set LABELMINT_TEST_DATA")
    folder = tmp_path_factory.mktemp("home")
    left = dict.fromkeys(CLASSES, EACH)
    with tarfile.open(archive) as tar, zipfile.ZipFile(folder / "photos.zip", "w") as photos:
        for entry in tar:
            part, label, name = (entry.name.split("/") + ["", ""])[:3]
            if entry.isfile() and part == "train" and left.get(label):
                left[label] -= 1
                photos.writestr(f"photos/{label}/{name}", cast(IO[bytes], tar.extractfile(entry)).read())
            if not any(left.values()):
                break
    return folder


def test_readme_leads_to_a_report_and_images(home, tmp_path):
    block = next(block for block in blocks(ROOT / "README.md", "console") if "labelmint import" in block)
    clone = Clone(tmp_path, shrink=False)
    clone.install()
    printed = []
    for command in commands(block):
        done = clone.run("bash", "-c", command, HOME=str(home), LABELMINT_TRACKING="off")
        assert done.returncode == 0, f"$ {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        printed.append(done.stdout)
    assert "photos: 600 images in 3 classes (bird 200, frog 200, ship 200), colour" in printed[0]

    facts = json.loads((tmp_path / "data/tensors/dataset.json").read_text())
    assert facts["classes"] == list(CLASSES) and facts["shape"] == [3, 32, 32]
    assert facts["n_train"] + facts["n_test"] <= 600 and facts["n_test"] == 120
    with (tmp_path / "reports/results.csv").open() as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["real", "synthetic", "mixed"] and rows["synthetic"]["n_real"] == "0"
    # Chance is a third; a small classifier does better on real photographs even at the quick size.
    assert float(rows["real"]["accuracy_low"]) > 1 / 3
    assert "report: " in printed[1] and (tmp_path / "reports/index.html").stat().st_size > 50_000
    sampled = {label: len(os.listdir(tmp_path / "more" / label)) for label in CLASSES}
    assert sampled == dict.fromkeys(CLASSES, 50) and (tmp_path / "more" / "README.md").exists()
