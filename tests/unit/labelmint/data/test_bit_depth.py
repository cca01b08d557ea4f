from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmint.data.bit_depth import convert_splits
from labelmint.data.preparation import prepare
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.data.storage.tensors import ImageFile
from labelmint.data.stored_images import FolderImages
from labelmint.data.unlabelled import read_unlabelled
from labelmint.runtime.settings import Compute

GREY = np.arange(64, dtype=np.uint16).reshape(8, 8) * 4  # 0 to 252


def convert(folder: Path, images: list[np.ndarray], **settings) -> tuple[np.ndarray, int | None]:
    """Pixels (N, 8, 8) of images in two splits, and the bit depth that was found."""
    for number, values in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        (folder / f"{number}.png").write_bytes(buffer.getvalue())
    names = [f"{number}.png" for number in range(len(images))]
    source = Source("t", "", ["a"], np.zeros(len(images), np.int64), FolderImages(folder, names))
    parts = [np.arange(2), np.arange(2, len(images))]
    targets = [folder / "first" / "images.npy", folder / "second" / "images.npy"]
    dataset = Dataset(image_size=8, channels=1, **settings)
    _, found = convert_splits(source, parts, dataset, targets, Compute(workers=1))
    pixels = []
    for part, target in zip(parts, targets):
        with ImageFile(target) as file:
            pixels.append(file[np.arange(len(part))][:, 0])
    return np.concatenate(pixels), found.bit_depth


def test_the_bits_of_all_images_of_all_splits_become_0_to_255(tmp_path, capsys):
    pixels, depth = convert(tmp_path, [GREY * 8, GREY * 8, GREY * 16])
    assert depth == 12
    assert (pixels[2] == np.rint(GREY * (16 * 255 / 4095))).all()
    assert (pixels[0] == np.rint(GREY * (8 * 255 / 4095))).all()
    said = capsys.readouterr().err
    assert "note: 3 images of 16 bits use 12 bits: 0 to 4,095 become 0 to 255; dataset.bit_depth" in said


@pytest.mark.parametrize(("images", "found"), [([GREY.astype(np.uint8)] * 3, None), ([GREY * 256] * 3, None)])
def test_other_images_are_as_they_were_without_a_word(tmp_path, capsys, images, found):
    pixels, depth = convert(tmp_path, images)
    assert depth is found
    assert (abs(pixels[0].astype(int) - GREY) <= 1).all()
    assert not capsys.readouterr().err


def test_new_images_are_scaled_as_those_of_training(tmp_path, tmp_path_factory):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(4):
            Image.fromarray(GREY * 16 + number + 5 * (label == "b")).save(tmp_path / label / f"{number}.png")
    settings = Dataset(name="mine", format="imagefolder", path=str(tmp_path), image_size=8, channels=1)
    prepared = prepare(settings, tmp_path, tmp_path_factory.mktemp("work"), Compute(workers=1))
    new = read_unlabelled(tmp_path / "b" / "3.png", prepared.dataset, Compute(workers=1))
    assert prepared.dataset.bit_depth == 12
    assert (new.images[0, 0] == np.rint((GREY * 16.0 + 8) * 255 / 4095)).all()


def test_the_setting_decides(tmp_path, capsys):
    pixels, depth = convert(tmp_path, [GREY * 16] * 3, bit_depth=16)
    assert (depth, pixels.max()) == (16, 16)
    assert not capsys.readouterr().err


def test_images_that_are_much_darker_than_others_are_named(tmp_path, capsys):
    _, depth = convert(tmp_path, [GREY * 256, GREY * 16, GREY * 16])
    assert depth is None
    said = capsys.readouterr().err
    assert "warning: 2 of 3 images of 16 bits use 12 bits or fewer, others 16, so that" in said
