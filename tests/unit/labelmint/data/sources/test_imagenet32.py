from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, Source
from labelmint.data.sources import read
from labelmint.runtime.errors import InputError

RNG = np.random.default_rng(5)


def make_batches(folder: Path, save=np.savez) -> tuple[np.ndarray, np.ndarray]:
    """Three training batches (1, 2, 10) and the validation batch, of three images each: images and labels."""
    folder.mkdir(parents=True)
    images = RNG.integers(0, 256, (12, 3072)).astype(np.uint8)
    labels = np.array([1, 2, 3] * 4)
    names = [*(f"train_data_batch_{number}" for number in (1, 2, 10)), "val_data"]
    for name, own_images, own_labels in zip(names, images.reshape(4, 3, 3072), labels.reshape(4, 3)):
        save(folder / f"{name}.npz", data=own_images, labels=own_labels.tolist(), mean=images.mean(0))
    return images, labels


@pytest.fixture
def folder(tmp_path):
    make_batches(tmp_path / "imagenet32")
    return tmp_path / "imagenet32"


def read_batches(folder: Path) -> Source:
    return read(Dataset(name="imagenet32"), folder.parent, folder.parent / "scratch")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_the_published_batches_in_place(tmp_path, contents, save):
    images, labels = make_batches(tmp_path / "imagenet32", save)
    source = read_batches(tmp_path / "imagenet32")
    assert source.labels.tolist() == (labels - 1).tolist()
    assert source.classes == ["1", "2", "3"]
    assert np.asarray(source.split).tolist() == [TRAIN] * 9 + [TEST] * 3
    expected = images.reshape(12, 3, 32, 32).transpose(0, 2, 3, 1)
    assert (np.stack(contents(source, *range(12))) == expected).all()
    assert (tmp_path / "scratch").exists() == (save is np.savez_compressed)


def test_class_names(folder):
    (folder / "map_clsloc.txt").write_text("n1 1 crane\nn2 2 crane\nn3 3 kit_fox\n")
    assert read_batches(folder).classes == ["crane_1", "crane_2", "kit_fox"]
    (folder / "map_clsloc.txt").write_text("n1 1 crane\nn3 3 kit_fox\n")
    with pytest.raises(InputError, match="map_clsloc.txt: does not name every class from 1 to 3"):
        read_batches(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"data": np.zeros((2, 3072), np.uint8), "labels": np.array([{}, {}])},
            "labels contains Python objects",
        ),
        ({"data": np.array([[{}]]), "labels": [1]}, "data contains Python objects, which can run any code"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "2 images but 1 labels"),
        ({"data": np.zeros((2, 100), np.uint8), "labels": [1, 1]}, "expected uint8"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1.0, 1.0]}, r"expected integers \(N,\)"),
        ({"data": np.zeros((2, 3072), np.uint8, order="F"), "labels": [1, 1]}, "stored column by column"),
        ({"data": np.zeros((2, 3072), np.uint8)}, "not a complete npz with data and labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 1001]}, "labels are from 1 to 1001"),
    ],
)
def test_refuses_other_arrays(folder, arrays, message):
    np.savez(folder / "train_data_batch_2.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_batches(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.zeros((6_000, 3072), np.uint8), "labels": np.ones(6_000, np.uint8)}, "'data.npy'"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": np.ones(17 << 20, np.uint8)}, "'labels.npy'"),
    ],
)
def test_refuses_bombs(folder, arrays, message):
    np.savez_compressed(folder / "train_data_batch_2.npz", **arrays)
    with pytest.raises(InputError, match=f"{message} .* bomb"):
        read_batches(folder)
    assert not (folder.parent / "scratch").exists()


def test_refuses_truncated_and_missing_batches(folder):
    path = folder / "train_data_batch_1.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="train_data_batch_1.npz: not a complete npz"):
        read_batches(folder)
    (folder / "val_data.npz").unlink()
    with pytest.raises(InputError, match="missing; get the 32x32 npz batches"):
        read_batches(folder)
