"""`labelmint import` of archives, names and images as other programs write them."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelmint.data.storage.tensors import load_set
from labelmint.runtime.atomic_files import load_json
from pipeline import stage
from tests.command import labelmint
from tests.image_trees import encoded, good_tree, in_folder, in_raw_zip

CLASSES = ("苹果", "香蕉")


def imported_files(checkout):
    """Contents of data/raw/mine.tar by name."""
    with tarfile.open(checkout / "data" / "raw" / "mine.tar") as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        return {name: file.read() for name, file in files.items() if file}


@pytest.fixture
def fruit(checkout):
    """A zip whose names are GBK, which it does not state."""
    tree = {name.encode("gbk"): content for name, content in good_tree(CLASSES, 10, "水果/").items()}
    return in_raw_zip(checkout / "fruit.zip", tree)


@pytest.mark.parametrize("flags", [(), ("--encoding", "gb18030")])
def test_names_in_another_encoding(checkout, fruit, flags):
    done = labelmint(checkout, "import", fruit, "--name", "mine", *flags)
    assert done.code == 0, done.err
    assert "20 images in 2 classes (苹果 10, 香蕉 10)" in done.out
    said = "note: fruit.zip does not state the encoding of its names; read as GBK, e.g. '水果'; --encoding"
    assert (said in done.err) == (not flags)
    assert imported_files(checkout)["苹果/0.png"] == good_tree(CLASSES, 10, "水果/")["水果/苹果/0.png"]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("ascii", "fruit.zip: its names are not valid ascii; choose another --encoding"),
        ("klingon", "encoding: no encoding of text is called 'klingon'; e.g. gbk or cp437"),
        ("base64", "encoding: no encoding of text is called 'base64'; e.g. gbk or cp437"),
    ],
)
def test_an_encoding_that_does_not_fit(checkout, fruit, encoding, message):
    done = labelmint(checkout, "import", fruit, "--name", "mine", "--encoding", encoding)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(message)


@pytest.mark.parametrize("name", [b"cat/caf\xe9.png", b"caf\xe9/0.png"])
def test_names_that_cannot_be_encoded(checkout, name):
    path = os.fsencode(in_folder(checkout / "photos", good_tree())) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(encoded())
    done = labelmint(checkout, "import", "photos", "--name", "mine")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert r"\udce9" in line and "is not valid UTF-8; rename it, for example with `convmv " in line
    assert not (checkout / "data").exists()


def test_twelve_bits_in_sixteen(checkout, monkeypatch):
    values = {
        f"{label}/{number}.png": np.random.default_rng(number).integers(0, 4096, (8, 8)).astype(np.uint16)
        | low
        for low, label in enumerate(("dim", "lit"))
        for number in range(10 * low, 10 * low + 10)
    }
    for name, pixels in values.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        in_folder(checkout / "scans", {name: buffer.getvalue()})
    done = labelmint(checkout, "import", "scans", "--name", "mine", "--size", 8)
    assert done.code == 0, done.err
    assert "note: 20 images of 16 bits use 12 bits: 0 to 4,095 become 0 to 255; dataset.bit_depth" in done.err
    assert "  bit_depth: 12\n" in (checkout / "experiments" / "mine.yaml").read_text()
    assert labelmint(checkout, "use", "default", "mine").code == 0
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("LABELMINT_TRACKING", "off")
    assert stage.main(["prepare"]) == 0
    manifest = load_json(checkout / "data" / "tensors" / "manifest.json")
    assert load_json(checkout / "data" / "tensors" / "dataset.json")["bit_depth"] == 12
    images, _ = load_set(checkout / "data" / "tensors")
    for image, name in zip(images, manifest["train"]["source_name"], strict=True):
        assert (image[0] == np.rint(values[name] * (255 / 4095))).all()


def test_an_npz_of_images_and_labels(checkout):
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    labels = np.arange(40)[:, None] % 2
    parts = {"train": slice(0, 24), "val": slice(24, 30), "test": slice(30, 40)}
    arrays: dict[str, Any] = {f"{part}_images": images[rows] for part, rows in parts.items()}
    arrays |= {f"{part}_labels": labels[rows] for part, rows in parts.items()}
    np.savez(checkout / "mnist.npz", **arrays)
    done = labelmint(checkout, "import", "mnist.npz", "--name", "mine", "--size", 28, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["classes"], result["counts"], result["grey"]) == (["0", "1"], [20, 20], True)
    files = {name: content for name, content in imported_files(checkout).items() if name.endswith(".png")}
    assert len(files) == 40
    assert sum(name.startswith("test/") for name in files) == 10
    assert (np.asarray(Image.open(io.BytesIO(files["test/1/0000031.png"]))) == images[31]).all()
