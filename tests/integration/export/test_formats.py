"""Exports, opened by the libraries that read their formats. Every format holds the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.export import export
from labelmint.export.export import Export
from labelmint.export.formats import folder_names
from labelmint.export.orders import Order
from labelmint.runtime.settings import Compute
from tests.untrained_generators import ATTRIBUTES, CLASSES, FAMILY_OF, file_tree, untrained


def exported(label_type: str, format: str, folder: Path, workers: int = 1) -> Export:
    made = Export(untrained(label_type), "weights", Order(6), format, folder, Compute("cpu", workers=workers))
    assert export.run(made, "sheet") == made.plan.total
    return made


def arrays(label_type: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The same images and labels, exported as arrays."""
    exported(label_type, "tensors", folder)
    images, labels = load_set(folder)
    return np.array(images), np.array(labels)


@pytest.fixture(params=FAMILY_OF)
def label_type(request):
    return request.param


@pytest.fixture(autouse=True)
def short_shards(monkeypatch):
    """Several shards, of which the last is not full."""
    monkeypatch.setattr(export, "_SHARD_ROWS", 7)


def test_folders_in_torchvision(label_type, tmp_path):
    from torchvision.datasets import ImageFolder

    images, labels = arrays(label_type, tmp_path / "arrays")
    exported(label_type, "folders", tmp_path / "folders")
    opened = ImageFolder(str(tmp_path / "folders"), loader=lambda path: (path, np.array(Image.open(path))))
    assert len(opened) == len(images)
    for (path, pixels), index in opened:
        folder, number = opened.classes[index], int(Path(path).stem)
        assert Path(path).name == f"{number:06d}.png"
        row = number
        if label_type in ("per_class", "conditional"):
            label = folder_names(CLASSES).index(folder)
            row = number * len(CLASSES) + label  # classes take turns
            assert labels[row] == label
        elif label_type == "multi_hot":
            present = [name for name, value in zip(ATTRIBUTES, labels[row]) if value]
            assert folder == ("+".join(present) or "none of them")
        else:
            assert folder == "unlabelled"
        assert np.array_equal(pixels, images[row, 0])


def test_parquet_in_datasets(label_type, tmp_path):
    from datasets import ClassLabel, load_dataset

    images, labels = arrays(label_type, tmp_path / "arrays")
    exported(label_type, "parquet", tmp_path / "parquet")
    opened = load_dataset(str(tmp_path / "parquet"), split="train", cache_dir=str(tmp_path / "cache"))
    assert np.array_equal(np.stack([np.array(image) for image in opened["image"]]), images[:, 0])
    assert opened["latent_seed"] == np.load(tmp_path / "arrays" / "latent_seeds.npy").tolist()
    if label_type == "multi_hot":
        columns = np.stack([opened[name] for name in ATTRIBUTES], 1)
        assert np.array_equal(columns, labels.astype(bool))
    elif label_type == "none":
        assert opened.column_names == ["image", "latent_seed"]
    else:
        assert opened.features["label"] == ClassLabel(names=CLASSES)
        assert opened["label"] == labels.tolist()


def test_webdataset(label_type, tmp_path):
    import webdataset

    images, labels = arrays(label_type, tmp_path / "arrays")
    made = exported(label_type, "webdataset", tmp_path / "tars")
    pattern = f"{tmp_path}/tars/train-{{000000..{made.shards - 1:06d}}}.tar"
    opened = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("l8"))
    assert [each["__key__"] for each in opened] == [f"{row:09d}" for row in range(len(images))]
    assert np.array_equal(np.stack([each["png"] for each in opened]), images[:, 0])
    if label_type == "multi_hot":
        assert [list(each["json"]["attributes"].values()) for each in opened] == labels.tolist()
    elif label_type == "none":
        assert not any("cls" in each for each in opened)
    else:
        assert [each["cls"] for each in opened] == labels.tolist()
        assert [each["json"]["class"] for each in opened] == [CLASSES[label] for label in labels]


def test_webdataset_in_datasets(tmp_path):
    from datasets import load_dataset

    exported("conditional", "webdataset", tmp_path / "tars")
    files = {"train": sorted(map(str, (tmp_path / "tars").glob("*.tar")))}
    opened = load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert [int(label) for label in opened["cls"]] == [0, 1, 2] * 6


def test_folders_can_be_imported(tmp_path):
    from labelmint.data.sources import imagefolder

    exported("per_class", "folders", tmp_path / "folders")
    source = imagefolder.read_from(tmp_path / "folders", "synthetic", tmp_path / "scratch")
    assert source.classes == ["T-shirt_top", "cat", "dog"]
    assert np.bincount(source.labels).tolist() == [6, 6, 6]


@pytest.mark.parametrize("format", ["folders", "tensors", "parquet", "webdataset"])
def test_the_number_of_workers_changes_no_byte(format, tmp_path):
    for workers in (1, 2):
        exported("conditional", format, tmp_path / str(workers), workers)
    assert file_tree(tmp_path / "1") == file_tree(tmp_path / "2")
