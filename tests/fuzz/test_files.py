"""Files of every kind that is read, spoiled at random: a refusal in one line, or what is read is whole."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmint.data import archives
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
from labelmint.training.checkpoints import Checkpoints, IdentityChangedError
from stages.paths import Arm
from tests.fuzz.conftest import bounded
from tests.fuzz.mutations import spoiled_bytes, spoiled_tree
from tests.fuzz.test_settings import one_line
from tests.image_trees import encoded, in_tar, in_zip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


def read_all(source: Source, whole: Callable[[Any], bool]) -> None:
    """Every image is whole, or is called bad in one line."""
    with source.images.open() as read:
        for index in range(len(source.labels)):
            try:
                assert whole(read(index))
            except BadImageError as error:
                assert "\n" not in str(error)


# An idx of six images of four by four.
IMAGES = b"\x00\x00\x08\x03" + np.array([6, 4, 4], ">u4").tobytes() + bytes(range(96))


@bounded
@given(data=st.data(), packed=st.booleans())
def test_idx(folder, data, packed):
    content = gzip.compress(IMAGES, mtime=0) if packed else IMAGES
    path = folder / "images.gz"
    path.write_bytes(data.draw(spoiled_bytes(content)))
    try:
        plain = idx.plain(path, folder / "scratch")
        shape = idx.header(plain, 3)
    except InputError as error:
        return one_line(error)
    assert plain.stat().st_size == 16 + int(np.prod(shape))


def _archive(kind: str, tmp: Path) -> bytes:
    tree = {f"{label}/{number}.png": encoded(number, size=(5, 4)) for label in ("cat", "dog") for number in range(3)}
    if kind == "zip":
        return in_zip(tmp / "t.zip", tree).read_bytes()
    return in_tar(tmp / "t", tree, {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]).read_bytes()  # fmt: skip


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@bounded
@given(data=st.data())
def test_archives(folder, kind, data):
    good = _archive(kind, folder)
    path = folder / f"spoiled.{kind}"
    path.write_bytes(data.draw(spoiled_bytes(good)))
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    try:
        source = imagefolder.read_from(path, "mine", folder / "scratch")
    except InputError as error:
        return one_line(error)
    read_all(source, lambda content: isinstance(content, bytes))


def test_archives_unspoiled(folder):
    for kind in ("zip", "tar", "tar.bz2"):
        path = folder / f"whole.{kind}"
        path.write_bytes(_archive(kind, folder))
        listing = archives.list_members(path, folder / "scratch")
        assert len(listing.members) == 6


@bounded
@given(data=st.data())
def test_npz(folder, data):
    place = folder / "imagenet32"
    place.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, data=np.zeros((3, 3072), np.uint8), labels=np.array([1, 2, 3]))
    (place / "train_data_batch_1.npz").write_bytes(data.draw(spoiled_bytes(buffer.getvalue())))
    (place / "val_data.npz").write_bytes(buffer.getvalue())
    try:
        source = imagenet32.read(Dataset(name="imagenet32", image_size=32, channels=3), folder, folder / "scratch")
    except InputError as error:
        return one_line(error)
    read_all(source, lambda image: image.shape == (32, 32, 3))


FEATURES = {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}  # fmt: skip


@bounded
@given(data=st.data(), metadata=st.booleans())
def test_parquet(folder, data, metadata):
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = folder / "tables"
    place.mkdir(exist_ok=True)
    told = data.draw(spoiled_tree(FEATURES)) if metadata else FEATURES
    stored = json.dumps(told).encode()
    if metadata and data.draw(st.booleans()):
        stored = data.draw(spoiled_bytes(stored))
    table = pa.table({"image": [encoded(n, size=(5, 4)) for n in range(6)], "label": [0, 1] * 3})
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": stored}), buffer)
    content = buffer.getvalue() if metadata else data.draw(spoiled_bytes(buffer.getvalue()))
    (place / "train.parquet").write_bytes(content)
    dataset = Dataset(name="mine", format="huggingface", path=str(place), channels=3)
    try:
        read_all(huggingface.read(dataset, folder, folder / "scratch"), lambda content: isinstance(content, bytes))
    except InputError as error:
        one_line(error)


@bounded
@given(data=st.data(), name=st.sampled_from(["images.npy", "labels.npy", "checksums.json"]))
def test_tensors(folder, noise_set, data, name):
    """Every change is found."""
    good = (noise_set / name).read_bytes()
    spoiled = data.draw(spoiled_bytes(good))
    place = folder / "tensors"
    shutil.copytree(noise_set, place, dirs_exist_ok=True)
    (place / name).write_bytes(spoiled)
    try:
        images, labels = load_set(place)
    except InputError as error:
        return one_line(error)
    assert spoiled == good or (name == "checksums.json" and _same(spoiled, good))


def _same(spoiled: bytes, good: bytes) -> bool:
    found, known = json.loads(spoiled), json.loads(good)
    return all(found.get(name) == value for name, value in known.items())


@pytest.fixture(scope="module")
def noise_set(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("noise")
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 4, 4), dtype=np.uint8)
    save_set(place, images, np.arange(12) % 3)
    return place


@bounded
@given(data=st.data())
def test_checkpoints(folder, data):
    shutil.rmtree(folder / "class-0", ignore_errors=True)
    kept = Checkpoints(folder / "class-0", {"seed": 1})
    for step in (1, 2):
        kept.save(0, step, {"value": np.arange(3).tolist()})
    path = folder / "class-0" / "000-000000000002.pt"
    good = path.read_bytes()
    path.write_bytes(spoiled := data.draw(spoiled_bytes(good)))
    try:
        state = kept.load()
    except IdentityChangedError:
        raise AssertionError("a spoiled checkpoint was taken for another run's") from None
    assert state is not None and state["step"] == (2 if spoiled == good else 1)


@bounded
@given(data=st.data(), weights=st.booleans())
def test_generators(folder, generator, data, weights):
    place = folder / "generator"
    shutil.copytree(generator, place, dirs_exist_ok=True)
    if weights:
        path = place / published.WEIGHTS
        path.write_bytes(data.draw(spoiled_bytes(path.read_bytes())))
    else:
        facts = load_json(place / published.DESCRIPTION)
        (place / published.DESCRIPTION).write_text(json.dumps(data.draw(spoiled_tree(facts))))
    try:
        published.open_generator(place)
    except InputError as error:
        one_line(error)


@bounded
@given(data=st.data())
def test_metrics_in_a_data_sheet(workspace, generator, data):
    """What `evaluate` wrote, spoiled, is told as it is or refused."""
    metrics = load_json(workspace.metrics(Arm("dcgan", 100, 0)))
    export = Export(published.open_generator(generator), "ab", Order(1), "folders", Path("out"), 1)
    try:
        text = datasheet.render(export, "cgan-40-0", "ab", data.draw(spoiled_tree(metrics)))
    except InputError as error:
        return one_line(error)
    assert text.endswith("```\n") and "<script" not in text
