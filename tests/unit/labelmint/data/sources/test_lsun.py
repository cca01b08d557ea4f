from __future__ import annotations

import hashlib
from pathlib import Path

import lmdb
import numpy as np
import pytest

from labelmint.data.settings import Dataset
from labelmint.data.source import TEST, TRAIN
from labelmint.data.sources import read
from labelmint.runtime.errors import InputError


def make_lmdb(folder: Path, values: list[bytes]) -> None:
    """Values in the published form: their keys are SHA-1 sums in hex, which order them."""
    folder.mkdir(parents=True)
    with (
        lmdb.open(str(folder), map_size=1 << 24) as environment,
        environment.begin(write=True) as transaction,
    ):
        for value in values:
            transaction.put(hashlib.sha1(value).hexdigest().encode(), value)


def ordered(values: list[bytes]) -> list[bytes]:
    return sorted(values, key=lambda value: hashlib.sha1(value).hexdigest())


def test_categories_are_classes_and_val_is_the_test_set(tmp_path, contents):
    values = {}
    for category in ("bedroom", "tower"):
        for part, count in (("train", 3), ("val", 2)):
            name = f"{category}_{part}"
            values[name] = ordered([f"{name} {number}".encode() for number in range(count)])
            make_lmdb(tmp_path / "lsun" / f"{name}_lmdb", values[name])
    source = read(Dataset(name="lsun", categories=["bedroom", "tower"]), tmp_path, tmp_path)
    assert source.classes == ["bedroom", "tower"]
    assert source.labels.tolist() == [0] * 5 + [1] * 5
    assert np.asarray(source.split).tolist() == ([TRAIN] * 3 + [TEST] * 2) * 2
    assert contents(source, *range(10)) == sum(values.values(), [])
    key = hashlib.sha1(values["tower_val"][1]).hexdigest()
    assert source.images.name(9) == f"tower_val_lmdb, key {key}"
    with pytest.raises(IndexError):
        source.images.name(10)


def test_a_category_without_test_images_leaves_the_split_to_prepare(tmp_path):
    for name in ("church_train", "tower_train", "tower_val"):
        make_lmdb(tmp_path / f"{name}_lmdb", [f"{name} {number}".encode() for number in range(5)])
    source = read(
        Dataset(name="lsun", categories=["church", "tower"], path=str(tmp_path)), tmp_path, tmp_path
    )
    assert source.split is None
    assert len(source.labels) == 15


def test_refuses_missing_damaged_and_empty_lmdbs(tmp_path):
    dataset = Dataset(name="lsun", categories=["bedroom"], path=str(tmp_path))
    with pytest.raises(InputError, match="bedroom_train_lmdb is missing; get the category"):
        read(dataset, tmp_path, tmp_path)
    make_lmdb(tmp_path / "bedroom_train_lmdb", [])
    with pytest.raises(InputError, match="bedroom_train_lmdb: contains no images"):
        read(dataset, tmp_path, tmp_path)
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").write_bytes(b"not an lmdb" * 1000)
    with pytest.raises(InputError, match="bedroom_train_lmdb: damaged LMDB"):
        read(dataset, tmp_path, tmp_path)


def test_refuses_keys_that_are_too_long(tmp_path):
    (tmp_path / "bedroom_train_lmdb").mkdir()
    with (
        lmdb.open(str(tmp_path / "bedroom_train_lmdb")) as environment,
        environment.begin(write=True) as writer,
    ):
        writer.put(b"k" * 41, b"x")
    with pytest.raises(InputError, match="keys of 41 bytes, LSUN's have at most 40"):
        read(Dataset(name="lsun", categories=["bedroom"], path=str(tmp_path)), tmp_path, tmp_path)
