"""Corrupt files of all formats that are read: refused in one line, or what is read is complete."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmint.data import npz_set
from labelmint.data.settings import Dataset
from labelmint.data.source import BadImageError, Source
from labelmint.data.sources import huggingface, idx, imagefolder, imagenet32
from labelmint.data.storage.tensors import load_set, save_set
from labelmint.export import datasheet
from labelmint.export.export import Export
from labelmint.export.orders import Order
from labelmint.gans import published
from labelmint.runtime.atomic_files import load_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.training.checkpoints import Checkpoints, IdentityChangedError
from stages.paths import Arm, Paths
from tests.image_trees import TarMode, encoded, in_tar, in_zip
from tests.integration.fuzz.bounds import assert_one_line, bounded
from tests.integration.fuzz.mutations import corrupt_bytes, corrupt_tree

TAR_MODES: dict[str, TarMode] = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def read_all(source: Source, complete: Callable[[Any], bool]) -> None:
    """Read every image: it is complete, or it is reported as bad in one line."""
    with source.images.open() as read:
        for index in range(len(source.labels)):
            try:
                assert complete(read(index))
            except BadImageError as error:
                assert_one_line(error)


IDX = b"\x00\x00\x08\x03" + np.array([6, 4, 4], ">u4").tobytes() + bytes(range(96))
"""An idx file of six images of 4 x 4 pixels."""


@bounded()
@given(data=st.data(), packed=st.booleans())
def test_idx(folder, data, packed):
    path = folder / "images.gz"
    path.write_bytes(data.draw(corrupt_bytes(gzip.compress(IDX, mtime=0) if packed else IDX)))
    try:
        plain = idx.decompress(path, folder / "scratch")
        shape = idx.read_header(plain, 3)
    except InputError as error:
        return assert_one_line(error)
    assert plain.stat().st_size == 16 + int(np.prod(shape))


@pytest.fixture(scope="module", params=["zip", *TAR_MODES])
def archived(request, folder) -> tuple[str, bytes]:
    """(kind, content) of an archive of six images."""
    tree = {
        f"{label}/{number}.png": encoded(number, size=(5, 4))
        for label in ("cat", "dog")
        for number in range(3)
    }
    path = folder / "good"
    if request.param == "zip":
        in_zip(path, tree)
    else:
        in_tar(path, tree, TAR_MODES[request.param])
    return request.param, path.read_bytes()


@bounded(15)
@given(data=st.data())
def test_archives(folder, archived, data):
    kind, content = archived
    path = folder / f"corrupt.{kind}"
    path.write_bytes(data.draw(corrupt_bytes(content)))
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    try:
        source = imagefolder.read_from(path, "mine", folder / "scratch")
    except InputError as error:
        return assert_one_line(error)
    read_all(source, lambda content: isinstance(content, bytes))


@bounded()
@given(data=st.data())
def test_npz(folder, data):
    batches = folder / "imagenet32"
    batches.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, data=np.zeros((3, 3072), np.uint8), labels=np.array([1, 2, 3]))
    (batches / "train_data_batch_1.npz").write_bytes(data.draw(corrupt_bytes(buffer.getvalue())))
    (batches / "val_data.npz").write_bytes(buffer.getvalue())
    try:
        source = imagenet32.read(
            Dataset(name="imagenet32", image_size=32, channels=3), folder, folder / "scratch"
        )
    except InputError as error:
        return assert_one_line(error)
    read_all(source, lambda image: image.shape == (32, 32, 3))


ARRAYS = io.BytesIO()
np.savez(ARRAYS, images=np.zeros((4, 5, 6), np.uint8), labels=np.array(["cat", "dog"] * 2))


@bounded()
@given(data=st.data())
def test_a_set_in_an_npz(folder, data):
    path = folder / "set.npz"
    path.write_bytes(data.draw(corrupt_bytes(ARRAYS.getvalue())))
    try:
        source = npz_set.read_set(path, "mine", folder / "scratch")
    except InputError as error:
        return assert_one_line(error)
    read_all(source, lambda image: image.ndim in (2, 3) and image.dtype == np.uint8)


FEATURES = {
    "info": {
        "features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    }
}


@bounded()
@given(data=st.data(), metadata=st.booleans())
def test_parquet(folder, data, metadata):
    tables = folder / "tables"
    tables.mkdir(exist_ok=True)
    stored = json.dumps(data.draw(corrupt_tree(FEATURES)) if metadata else FEATURES).encode()
    if metadata and data.draw(st.booleans()):
        stored = data.draw(corrupt_bytes(stored))
    table = pa.table({"image": [encoded(number, size=(5, 4)) for number in range(6)], "label": [0, 1] * 3})
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": stored}), buffer)
    content = buffer.getvalue() if metadata else data.draw(corrupt_bytes(buffer.getvalue()))
    (tables / "train.parquet").write_bytes(content)
    dataset = Dataset(name="mine", format="huggingface", path=str(tables), channels=3)
    try:
        source = huggingface.read(dataset, folder, folder / "scratch")
    except InputError as error:
        return assert_one_line(error)
    read_all(source, lambda content: isinstance(content, bytes))


@pytest.fixture(scope="module")
def noise_set(tmp_path_factory):
    """Folder of a set of 12 images of noise."""
    noise = tmp_path_factory.mktemp("noise")
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 4, 4), dtype=np.uint8)
    save_set(noise, images, np.arange(12) % 3)
    return noise


@bounded()
@given(data=st.data(), name=st.sampled_from(["images.npy", "labels.npy", "checksums.json"]))
def test_every_change_of_tensors_is_found(folder, noise_set, data, name):
    good = (noise_set / name).read_bytes()
    content = data.draw(corrupt_bytes(good))
    tensors = folder / "tensors"
    shutil.copytree(noise_set, tensors, dirs_exist_ok=True)
    (tensors / name).write_bytes(content)
    try:
        load_set(tensors)
    except InputError as error:
        return assert_one_line(error)
    if name == "checksums.json":
        assert json.loads(content).items() >= json.loads(good).items()
    else:
        assert content == good


@bounded()
@given(data=st.data())
def test_a_corrupt_checkpoint_is_replaced_by_the_one_before(folder, data):
    shutil.rmtree(folder / "class-0", ignore_errors=True)
    checkpoints = Checkpoints(folder / "class-0", {"seed": 1})
    for step in (1, 2):
        checkpoints.save(0, step, {"value": np.arange(3).tolist()})
    path = folder / "class-0" / "000-000000000002.pt"
    good = path.read_bytes()
    content = data.draw(corrupt_bytes(good))
    path.write_bytes(content)
    try:
        state = checkpoints.load()
    except IdentityChangedError:
        raise AssertionError("a corrupt checkpoint was taken for one of another run") from None
    assert state is not None
    assert state["step"] == (2 if content == good else 1)


@bounded()
@given(data=st.data(), weights=st.booleans())
def test_generators(folder, generator, data, weights):
    copy = folder / "generator"
    shutil.copytree(generator, copy, dirs_exist_ok=True)
    if weights:
        path = copy / published.WEIGHTS
        path.write_bytes(data.draw(corrupt_bytes(path.read_bytes())))
    else:
        architecture = load_json(copy / published.DESCRIPTION)
        (copy / published.DESCRIPTION).write_text(json.dumps(data.draw(corrupt_tree(architecture))))
    try:
        published.open_generator(copy)
    except InputError as error:
        assert_one_line(error)


@bounded()
@given(data=st.data())
def test_metrics_in_a_data_sheet(reported, generator, data):
    """Corrupt metrics of an arm are shown as they are, or refused."""
    metrics = load_json(Paths(reported).metrics(Arm("dcgan", 100, 0)))
    export = Export(
        published.open_generator(generator), "ab", Order(1), "folders", Path("out"), Compute("cpu")
    )
    try:
        text = datasheet.render(export, "cgan-40-0", "ab", data.draw(corrupt_tree(metrics)))
    except InputError as error:
        return assert_one_line(error)
    assert text.endswith("```\n")
    assert "<script" not in text
