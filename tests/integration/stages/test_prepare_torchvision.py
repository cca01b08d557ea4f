"""Data sets that torchvision reads, in small files of the same formats."""

from __future__ import annotations

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from scipy.io import savemat

import labelmint
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError

SIZES = {"train": 40, "test": 20}


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """Noise in SVHN's files, whose checksums torchvision would refuse. Returns: (images, labels) by split."""
    rng, written = np.random.default_rng(0), {}
    folder = tmp_path / "raw" / "torchvision"
    folder.mkdir(parents=True)
    for split, count in SIZES.items():
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(count) % 10  # SVHN writes the digit 0 as 10
        savemat(
            folder / f"{split}_32x32.mat",
            {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]},
        )
        written[split] = images, labels
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    return written


def test_images_labels_and_the_own_split_are_read(svhn, tmp_path):
    dataset = labelmint.load_dataset("torchvision/SVHN", raw=tmp_path / "raw")
    for (images, labels), split in ((dataset.train, "train"), (dataset.test, "test")):
        assert images.transpose(0, 2, 3, 1).tolist() == svhn[split][0].tolist()
        assert labels.tolist() == svhn[split][1].tolist()
    assert dataset.classes == [str(digit) for digit in range(10)]


def test_the_stage_prepares_it(svhn, project, run_stage, tmp_path):
    (project / "data").mkdir(exist_ok=True)
    (tmp_path / "raw").rename(project / "data" / "raw")
    code, stderr = run_stage("prepare", name="torchvision/SVHN", image_size=8, channels=1)
    assert code == 0, stderr
    facts = load_json(project / "data" / "tensors" / "dataset.json")
    assert (facts["n_train"], facts["n_test"], facts["shape"]) == (40, 20, [1, 8, 8])


def test_a_set_without_a_split_of_its_own_is_split(tmp_path, monkeypatch):
    """EuroSAT: a folder of images per class."""
    folder = tmp_path / "raw" / "torchvision" / "eurosat" / "2750"
    for number, label in enumerate(("Forest", "River")):
        (folder / label).mkdir(parents=True)
        for index in range(10):
            colour = (25 * index, 200 * number, 7)
            Image.new("RGB", (64, 64), colour).save(folder / label / f"{label}_{index}.png")
    monkeypatch.setattr(torchvision.datasets.EuroSAT, "_check_exists", lambda self: True)
    dataset = labelmint.load_dataset("torchvision/EuroSAT", raw=tmp_path / "raw", image_size=16)
    assert dataset.classes == ["Forest", "River"]
    assert (len(dataset.labels), len(dataset.test_labels)) == (16, 4)
    assert {tuple(image[:, 0, 0])[1:] for image in dataset.images} == {(0, 7), (200, 7)}
    assert all(image[1, 0, 0] == 200 * label for image, label in zip(*dataset.train))


def test_files_that_are_absent_and_cannot_be_downloaded_are_one_line(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.svhn, "download_url", unreachable)
    with pytest.raises(
        InputError, match="torchvision/SVHN is not in .* cannot be downloaded .no route"
    ) as error:
        labelmint.load_dataset("torchvision/SVHN", raw=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/SVNH", "no such data set; did you mean 'SVHN'"),
        ("torchvision/CocoDetection", "no such data set"),
        ("torchvision/../x", "name must be lower-case letters"),
    ],
)
def test_other_names_are_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        labelmint.load_dataset(name, raw=tmp_path)
