"""Bad inputs of a project: each function returns, or is, what creates one in a project's folder."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelmint.data.storage.tensors import save_set
from tests.image_trees import MINE, good_tree, in_folder, in_raw_zip, in_tar
from tests.payload import Payload

Arrange = Callable[[Path], object]


def dataset(**changes: object) -> Arrange:
    """Change settings of `dataset` in params.yaml."""

    def change(root: Path) -> None:
        text = (root / "params.yaml").read_text()
        for name, value in changes.items():
            text, found = re.subn(rf"(?m)^(  {name}:) [^#\n]*", rf"\1 {value} ", text, count=1)
            assert found, name
        (root / "params.yaml").write_text(text)

    return change


def both(first: Arrange, second: Arrange) -> Arrange:
    def make(root: Path) -> None:
        first(root)
        second(root)

    return make


def mine(path: str, make: Arrange, **changes: object) -> Arrange:
    return both(make, dataset(**{**MINE, "path": path, **changes}))


def replaced(old: str, new: str) -> Arrange:
    def change(root: Path) -> None:
        text = (root / "params.yaml").read_text()
        assert old in text
        (root / "params.yaml").write_text(text.replace(old, new, 1))

    return change


def written(name: str, content: str | bytes) -> Arrange:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def tar_with(name: str, **entry: object) -> Arrange:
    def make(root: Path) -> None:
        in_tar(root / "t.tar", good_tree())
        with tarfile.open(root / "t.tar", "a") as archive:
            member = tarfile.TarInfo(name)
            for field, value in entry.items():
                setattr(member, field, value)
            archive.addfile(member)

    return make


def bomb(root: Path) -> None:
    with zipfile.ZipFile(root / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/bomb.png", bytes(32 << 20))


def folder_with(name: str, content: bytes) -> Arrange:
    return lambda root: in_folder(root / "photos", good_tree() | {name: content})


def mnist(images: bytes) -> Arrange:
    return written("data/raw/MNIST/raw/train-images-idx3-ubyte", images)


def raw_zip(tree: dict[bytes, bytes], method: int = 0) -> Arrange:
    return lambda root: in_raw_zip(root / "t.zip", tree, method)


def two_labels(root: Path) -> None:
    table = pa.table({"image": [b"x"], "fine_label": [0], "coarse_label": [0]})
    (root / "t").mkdir()
    pq.write_table(table, root / "t" / "train.parquet")


def pickled_npz(root: Path) -> None:
    for name in ("train_data_batch_1", "val_data"):
        buffer = io.BytesIO()
        np.savez(
            buffer,
            data=np.zeros((2, 3072), np.uint8),
            labels=np.array([Payload(root / "sprung")] * 2, object),
        )
        written(f"data/raw/imagenet32/{name}.npz", buffer.getvalue())(root)


def stored_set(spoil: Arrange) -> Arrange:
    def make(root: Path) -> None:
        save_set(root / "data" / "tensors", np.zeros((4, 1, 16, 16), np.uint8), np.arange(4) % 2)
        spoil(root)

    return make


def flip(root: Path) -> None:
    path = root / "data" / "tensors" / "images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def tree_with(change: Arrange) -> Arrange:
    return both(lambda root: in_folder(root / "photos", good_tree()), lambda root: change(root / "photos"))


def cut_archive(root: Path) -> None:
    content = gzip.compress(in_tar(root / "t.tar", good_tree()).read_bytes())
    (root / "t.tar.gz").write_bytes(content[: len(content) // 2])


def settings_folder(root: Path) -> None:
    (root / "params.yaml").unlink()
    (root / "params.yaml").mkdir()
