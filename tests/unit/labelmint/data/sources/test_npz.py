from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN, VALIDATION
from labelmint.data.sources import imagefolder, read
from labelmint.runtime.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = {
    part: RNG.integers(0, 256, (n, 5, 6), np.uint8) for part, n in (("train", 6), ("val", 2), ("test", 3))
}
LABELS = {part: np.arange(len(images))[:, None] % 2 for part, images in IMAGES.items()}
MEDMNIST: dict[str, Any] = {f"{part}_images": IMAGES[part] for part in IMAGES} | {
    f"{part}_labels": LABELS[part] for part in LABELS
}


def read_npz(folder, arrays, save=np.savez):
    save(folder / "t.npz", **arrays)
    return read(Dataset(name="mine", format="npz", path=str(folder / "t.npz")), folder, folder / "scratch")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_medmnists_layout(tmp_path, contents, save):
    source = read_npz(tmp_path, MEDMNIST, save)
    assert source.classes == ["0", "1"]
    assert source.labels.tolist() == [0, 1] * 3 + [0, 1] + [0, 1, 0]
    assert np.asarray(source.split).tolist() == [TRAIN] * 6 + [VALIDATION] * 2 + [TEST] * 3
    expected = np.concatenate([IMAGES["train"], IMAGES["val"], IMAGES["test"]])
    assert (np.stack(contents(source, *range(11))) == expected).all()
    assert (tmp_path / "scratch").exists() == (save is np.savez_compressed)


def test_as_a_tree_of_png_files_for_import(tmp_path, contents):
    np.savez(tmp_path / "t.npz", **MEDMNIST)
    source = imagefolder.read_from(tmp_path / "t.npz", "mine", tmp_path / "scratch")
    assert source.classes == ["0", "1"]
    assert np.bincount(np.asarray(source.split)).tolist() == [6, 2, 3]
    row = [source.images.name(index) for index in range(11)].index("test/1/0000009.png")
    pixels = np.asarray(Image.open(io.BytesIO(contents(source, row)[0])))
    assert (pixels == IMAGES["test"][1]).all()


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("trainX", "trainY"), ("images", "labels")])
def test_other_names_of_the_arrays(tmp_path, names):
    source = read_npz(tmp_path, dict(zip(names, (IMAGES["train"], LABELS["train"][:, 0]))))
    assert (source.labels.tolist(), source.split) == ([0, 1] * 3, None)


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        (lambda grey: grey[..., None], (5, 6)),
        (lambda grey: grey[:, None], (5, 6)),
        (lambda grey: np.stack([grey, grey // 2, 255 - grey], 3), (5, 6, 3)),
        (lambda grey: np.stack([grey, grey // 2, 255 - grey], 1), (5, 6, 3)),
    ],
)
def test_channels_may_be_first_or_last(tmp_path, contents, change, shape):
    source = read_npz(tmp_path, {"images": change(IMAGES["train"]), "labels": LABELS["train"]})
    image = contents(source, 4)[0]
    assert image.shape == shape
    first = image if image.ndim == 2 else image[..., 0]
    assert (first == IMAGES["train"][4]).all()


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (np.array([10, 2, 2, 10, 2, 30]), ["2", "10", "30"], [1, 0, 0, 1, 0, 2]),
        (np.array(["dog", "cat"] * 3), ["cat", "dog"], [1, 0] * 3),
        (np.eye(3, dtype=np.float32)[[2, 0, 1, 1, 0, 2]], ["0", "1", "2"], [2, 0, 1, 1, 0, 2]),
        (np.array([True, False] * 3), ["False", "True"], [1, 0] * 3),
    ],
)
def test_labels_of_other_kinds(tmp_path, labels, classes, numbers):
    source = read_npz(tmp_path, {"images": IMAGES["train"], "labels": labels})
    assert (source.classes, source.labels.tolist()) == (classes, numbers)


def test_a_test_set_without_labels_is_left_out(tmp_path):
    source = read_npz(tmp_path, {name: array for name, array in MEDMNIST.items() if name != "test_labels"})
    assert np.bincount(np.asarray(source.split)).tolist() == [6, 2]
    assert source.notes == ["the test images have no labels and are left out"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"arr_0": IMAGES["train"], "arr_1": LABELS["train"]},
            "cannot tell what 'arr_0' holds of arr_0, arr_1",
        ),
        ({"images": IMAGES["train"]}, "no training images with labels among its arrays; name its arrays as"),
        ({"images": IMAGES["train"], "labels": LABELS["val"]}, "6 images but 2 labels"),
        ({"images": IMAGES["train"] / 255, "labels": LABELS["train"]}, r"images is float64, expected uint8"),
        (
            {"images": np.zeros((2, 8, 8, 8), np.uint8), "labels": [0, 1]},
            "images are 8 x 8 x 8; expected height",
        ),
        (
            {"images": IMAGES["train"], "labels": np.ones((6, 3), int)},
            r"labels are int64 \(6, 3\); expected one",
        ),
        (
            {"images": IMAGES["train"], "labels": np.array([{}] * 6)},
            "labels contains Python objects, which can",
        ),
        ({"x": IMAGES["train"], "images": IMAGES["train"]}, "two arrays of train images, one is 'images'"),
        (
            {**MEDMNIST, "test_images": np.zeros((3, 9, 9), np.uint8)},
            r"images of the sizes \[\(5, 6\), \(9, 9\)\]; one file has images of one size",
        ),
    ],
)
def test_refuses_what_is_unclear(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        read_npz(tmp_path, arrays)
