"""`labelmint predict`, and classifiers by themselves, on scikit-learn's digits."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import labelmint
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from pipeline.cli import prediction
from stages.paths import Paths
from tests.command import labelmint as command
from tests.conftest import ROOT

RECIPE: dict[str, Any] = {"network": "small_cnn", "steps": 150, "batch_size": 32, "evaluations": 1}


@pytest.fixture(scope="module")
def dataset():
    return labelmint.load_dataset("digits", images_per_class=60)


@pytest.fixture(scope="module")
def classifier(dataset):
    return labelmint.train_classifier(dataset, **RECIPE)


@pytest.fixture(scope="module")
def saved(classifier: labelmint.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier.save(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def photos(dataset: labelmint.LabelledDataset, tmp_path: Path) -> Path:
    """Sixty digits that the classifier has not seen, <label>-<index>.png, at several depths."""
    folder = tmp_path / "photos"
    for index, (image, label) in enumerate(zip(dataset.test_images[:60], dataset.test_labels[:60])):
        below = folder / ("deep/deeper" if index % 2 else "")
        below.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).resize((48, 48)).save(below / f"{label}-{index}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_new_images_get_their_labels(saved, photos, tmp_path):
    done = command(tmp_path, "predict", photos, "--classifier", saved)
    assert done.code == 0, done.err
    rows = rows_of(done.out)
    assert [row["image"] for row in rows] == sorted(row["image"] for row in rows)
    assert len(rows) == 60 and rows[0]["image"].startswith("0-")
    right = [Path(row["image"]).name.startswith(f"{row['label']}-") for row in rows]
    assert sum(right) >= 50
    for row in rows:
        values = {name: float(row[name]) for name in map(str, range(10))}
        assert sum(values.values()) == pytest.approx(1, abs=1e-4)
        assert row["label"] == max(values, key=values.__getitem__)
        assert float(row["probability"]) == max(values.values())
    assert done.err.endswith("labelled 60 images\n")


def test_an_archive_as_json_into_a_file(saved, photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(photos, "photos")
    out = tmp_path / "labels.json"
    done = command(tmp_path, "predict", "photos.tar", "--classifier", saved, "--json", "--out", out)
    assert (done.code, done.out) == (0, "")
    rows = load_json(out)
    folder = rows_of(command(tmp_path, "predict", photos, "--classifier", saved).out)
    assert [row["label"] for row in rows] == [row["label"] for row in folder]
    assert set(rows[0]) == {"image", "label", "probability", "probabilities"}


def test_one_image(saved, photos, tmp_path):
    (image,) = photos.glob("*-0.png")
    done = command(tmp_path, "predict", image, "--classifier", saved)
    assert [row["image"] for row in rows_of(done.out)] == [image.name]
    assert done.err.endswith("labelled 1 image\n")


def test_a_bad_image_is_named_and_the_others_are_labelled(saved, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = command(tmp_path, "predict", photos, "--classifier", saved)
    assert done.code == 0
    assert len(rows_of(done.out)) == 60
    assert done.err.startswith("left out: broken.png: ")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "does not exist; give an image"),
        (lambda folder: folder.mkdir(), "no images in it"),
        (
            lambda folder: (folder.mkdir(), (folder / "a.png").write_bytes(b"x")),
            "none of its 1 images can be read; a.png: ",
        ),
    ],
)
def test_nothing_to_label_is_one_line(saved, tmp_path, prepare, message):
    prepare(tmp_path / "given")
    done = command(tmp_path, "predict", "given", "--classifier", saved)
    assert done.code == 2
    assert message in done.err and done.err.count("\n") == 1


def test_a_classifier_is_saved_and_opened_again(classifier, saved, dataset, tmp_path):
    opened = labelmint.load_classifier(saved)
    assert opened.description == classifier.description
    images = dataset.test_images[:20]
    assert np.array_equal(opened.predict_proba(images), classifier.predict_proba(images))
    with pytest.raises(InputError, match=r"holds no classifier\.json"):
        labelmint.load_classifier(tmp_path)
    damaged = shutil.copytree(saved, tmp_path / "damaged")
    content = load_json(damaged / "classifier.json")
    (damaged / "classifier.json").write_text(json.dumps(content | {"classes": ["a"]}))
    with pytest.raises(InputError, match=r"does not fit classifier\.json"):
        labelmint.load_classifier(damaged)


@pytest.fixture
def project(workspace: Paths, tmp_path: Path) -> Path:
    """A project in which one arm of digits has run."""
    for name in ("data", "reports"):
        shutil.copytree(workspace.root / name, tmp_path / name)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def test_classifiers_of_the_project(project, photos):
    known = prediction._known(project)
    assert set(known) == {"real-100-0/real", "dcgan-100-0/synthetic", "dcgan-100-0/mixed"}
    done = command(project, "predict", photos, "--classifier", "dcgan-100-0/mixed")
    assert done.code == 0, done.err
    assert "dcgan-100-0/mixed labelled 60 images" in done.err
    best = command(project, "predict", photos)
    assert "real-100-0/real labelled" in best.err or "dcgan-100-0/mixed labelled" in best.err

    wrong = command(project, "predict", photos, "--classifier", "dcgan-100-0/mixd")
    assert wrong.code == 2
    assert "no classifier 'dcgan-100-0/mixd'; did you mean 'dcgan-100-0/mixed'?" in wrong.err


def test_images_of_16_bits_are_scaled_as_those_of_training(project, photos, tmp_path):
    described = project / "data" / "tensors" / "dataset.json"
    described.write_text(json.dumps(load_json(described) | {"bit_depth": 12}))
    for path in photos.rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        wide = tmp_path / "wide" / path.relative_to(photos)
        wide.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(((pixels.astype(int) * 4095 + 127) // 255).astype(np.uint16)).save(wide)
    name = "real-100-0/real"
    expected, found = (
        command(project, "predict", folder, "--classifier", name) for folder in (photos, tmp_path / "wide")
    )
    assert (expected.code, found.code) == (0, 0), found.err
    assert [row["label"] for row in rows_of(found.out)] == [row["label"] for row in rows_of(expected.out)]


def test_a_classifier_of_other_images_is_refused(project, photos):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  image_size: 16 ", "  image_size: 32 "))
    done = command(project, "predict", photos, "--classifier", "real-100-0/real")
    assert done.code == 2
    assert "is of other images than params.yaml now describes" in done.err


def test_a_device_that_does_not_exist_is_one_line(saved, photos, tmp_path):
    done = command(tmp_path, "predict", photos, "--classifier", saved, "--device", "gpu")
    assert done.code == 2
    assert "device must be" in done.err and done.err.count("\n") == 1
