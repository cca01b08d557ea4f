from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN
from labelmint.data.sources import cifar, read
from labelmint.runtime.errors import InputError
from tests.image_trees import in_tar

RNG = np.random.default_rng(5)


@pytest.fixture(params=["cifar10", "cifar100"])
def archived(request, tmp_path, monkeypatch):
    """(name, raw folder, images, labels) of an archive with two records in each published file."""
    known, raw = cifar._SETS[request.param], tmp_path / "raw"
    raw.mkdir()
    names = [*known.train, *known.test]
    images = RNG.integers(0, 256, (2 * len(names), 3, 32, 32)).astype(np.uint8)
    labels = RNG.integers(0, known.classes, len(images))
    records = [
        bytes([7] * (known.label_bytes - 1) + [label]) + image.tobytes()
        for image, label in zip(images, labels.tolist())
    ]
    files = {name: b"".join(records[2 * number : 2 * number + 2]) for number, name in enumerate(names)}
    class_names = "".join(f"c{number}\n" for number in range(known.classes)) + "\n"
    in_tar(raw / known.archive, files | {known.class_names: class_names.encode()}, "w:gz")
    md5 = hashlib.md5((raw / known.archive).read_bytes()).hexdigest()
    monkeypatch.setitem(cifar._SETS, request.param, replace(known, md5=md5))
    return request.param, raw, images, labels


def test_reads_the_binary_version(archived, tmp_path, contents):
    name, raw, images, labels = archived
    source = read(Dataset(name=name), raw, tmp_path / "scratch")
    assert source.labels.tolist() == labels.tolist()
    assert source.classes[3] == "c3"
    assert np.asarray(source.split).tolist() == [TRAIN] * (len(labels) - 2) + [TEST] * 2
    assert (np.stack(contents(source, *range(len(labels)))) == images.transpose(0, 2, 3, 1)).all()


def test_compares_the_checksum_first(archived, tmp_path):
    name, raw, *_ = archived
    path = raw / cifar._SETS[name].archive
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="checksum is"):
        read(Dataset(name=name), raw, tmp_path / "scratch")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.popitem(), "cifar-10-batches-bin/batches.meta.txt missing"),
        (
            lambda files: files.update({cifar._SETS["cifar10"].test[0]: b"x"}),
            "test_batch.bin is not a multiple",
        ),
        (
            lambda files: files.update({cifar._SETS["cifar10"].class_names: b"cat dog"}),
            "batches.meta.txt names 2 classes, expected 10",
        ),
    ],
)
def test_refuses_an_archive_with_other_contents(tmp_path, monkeypatch, change, message):
    known = cifar._SETS["cifar10"]
    files = {name: bytes(3073) for name in (*known.train, *known.test)} | {known.class_names: b"c " * 10}
    change(files)
    path = in_tar(tmp_path / known.archive, files, "w:gz")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(cifar._SETS, "cifar10", replace(known, md5=md5))
    with pytest.raises(InputError, match=message):
        read(Dataset(name="cifar10"), tmp_path, tmp_path / "scratch")


def test_never_opens_the_pickled_version(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    in_tar(
        tmp_path / "cifar-10-python.tar.gz",
        {"cifar-10-batches-py/data_batch_1": pickle.dumps(Trap())},
        "w:gz",
    )
    with pytest.raises(InputError, match="is the pickled version.*put cifar-10-binary.tar.gz there"):
        read(Dataset(name="cifar10"), tmp_path, tmp_path / "scratch")
    assert not (tmp_path / "sprung").exists()
