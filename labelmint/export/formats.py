"""File formats of an exported data set: PNG folders, arrays, Parquet, WebDataset.

Every format takes shards in any order and may take a shard twice, so that an interrupted export can resume.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from labelmint.data.storage.tensors import save_checksums
from labelmint.export.orders import Plan, pattern_title
from labelmint.runtime.atomic_files import atomic_write, named_os_errors
from labelmint.runtime.errors import InputError

_FORBIDDEN = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of an exported data set, from row `first_row` on.

    index: position among the shards.
    images: uint8 (n, C, S, S).
    labels: as orders.sample_rows returns them.
    numbers, seeds: int64 (n,), as in orders.Rows.
    """

    index: int
    first_row: int
    images: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    seeds: np.ndarray


class Format(Protocol):
    """Writer of one format."""

    def begin(self) -> None:
        """Prepare the folder. Called once, before any shard is written."""

    def write(self, shard: Shard) -> None:
        """Write one shard. May run in any process."""

    def finish(self) -> None:
        """Complete the files. Called once, after all shards are written."""


def open_format(name: str, folder: Path, plan: Plan, shape: tuple[int, int, int], shards: int) -> Format:
    """Writer of the format `name`. Raises: InputError if the library that it needs is not installed."""
    if name == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise InputError(
                "--format parquet needs pyarrow: pip install 'labelmint[huggingface]'"
            ) from error
    return FORMATS[name](folder, plan, shape, shards)


class _Files:
    def __init__(self, folder: Path, plan: Plan, shape: tuple[int, int, int], shards: int):
        self.folder, self.plan, self.shape, self.shards = folder, plan, shape, shards

    def begin(self) -> None: ...

    def finish(self) -> None: ...


class Folders(_Files):
    """<class>/000123.png, as torchvision's ImageFolder and `labelmint import` read it."""

    def __init__(self, folder: Path, plan: Plan, shape: tuple[int, int, int], shards: int):
        super().__init__(folder, plan, shape, shards)
        names = plan.names if plan.label_type in ("per_class", "conditional") else plan.titles
        self.folders = dict(zip(names, folder_names(names)))

    def write(self, shard: Shard) -> None:
        created = set()
        for image, label, number in zip(shard.images, shard.labels, shard.numbers):
            folder = self.folder / self._folder_name(label)
            if folder not in created:
                folder.mkdir(parents=True, exist_ok=True)
                created.add(folder)
            path = folder / f"{number:06d}.png"
            with named_os_errors(path):
                path.write_bytes(encode_png(image))

    def _folder_name(self, label: np.ndarray) -> str:
        plan = self.plan
        if plan.label_type == "multi_hot":
            title = pattern_title(label, plan.names)
            # A fairness GAN generates the outcome attribute, so patterns may occur that were not requested.
            return self.folders.get(title) or folder_names([title])[0]
        return self.folders[plan.names[label] if label >= 0 else plan.titles[0]]


class Tensors(_Files):
    """images.npy, labels.npy and latent_seeds.npy, as in data/synthetic/<arm>. They can be memory-mapped."""

    def begin(self) -> None:
        count = (self.plan.total,)
        multi_hot = self.plan.label_type == "multi_hot"
        label = ("<f4", (*count, len(self.plan.names))) if multi_hot else ("<i8", count)
        self.offsets: dict[str, int] = {}
        for name, (dtype, shape) in {
            "images": ("|u1", (*count, *self.shape)),
            "labels": label,
            "latent_seeds": ("<i8", count),
        }.items():
            buffer = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                buffer, {"descr": dtype, "fortran_order": False, "shape": shape}
            )
            path, header = self._partial(name), buffer.getvalue()
            size = len(header) + int(np.prod(shape)) * np.dtype(dtype).itemsize
            self.offsets[name] = len(header)
            # Rows of an interrupted export are kept, even if it was interrupted while finishing.
            if (self.folder / f"{name}.npy").exists():
                os.replace(self.folder / f"{name}.npy", path)
            with named_os_errors(path), path.open("r+b" if path.exists() else "wb") as file:
                file.write(header)
                file.truncate(size)

    def write(self, shard: Shard) -> None:
        label_dtype = "<f4" if shard.labels.dtype.kind == "f" else "<i8"
        arrays = {
            "images": np.ascontiguousarray(shard.images),
            "labels": np.ascontiguousarray(shard.labels, label_dtype),
            "latent_seeds": np.ascontiguousarray(shard.seeds, "<i8"),
        }
        for name, rows in arrays.items():
            path = self._partial(name)
            with named_os_errors(path), path.open("r+b") as file:
                file.seek(self.offsets[name] + shard.first_row * rows[0].nbytes)
                file.write(rows.data)

    def finish(self) -> None:
        for name in self.offsets:
            if self._partial(name).exists():
                os.replace(self._partial(name), self.folder / f"{name}.npy")
        save_checksums(self.folder)

    def _partial(self, name: str) -> Path:
        return self.folder / f"{name}.npy.partial"


class Parquet(_Files):
    """data/train-00000-of-00010.parquet, typed for Hugging Face's `datasets`.

    The columns are image, label (or one per attribute), and latent_seed.
    """

    def write(self, shard: Shard) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        plan = self.plan
        images = [{"bytes": encode_png(image), "path": None} for image in shard.images]
        image_type = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        columns: dict[str, Any] = {"image": pa.array(images, image_type)}
        features: dict[str, Any] = {"image": {"_type": "Image"}}
        if plan.label_type == "multi_hot":
            for index, name in enumerate(plan.names):
                columns[name] = pa.array(shard.labels[:, index] > 0.5)
                features[name] = {"dtype": "bool", "_type": "Value"}
        elif plan.label_type != "none":
            columns["label"] = pa.array(shard.labels.astype(np.int64))
            features["label"] = {"names": plan.names, "_type": "ClassLabel"}
        columns["latent_seed"] = pa.array(shard.seeds)
        features["latent_seed"] = {"dtype": "int64", "_type": "Value"}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table(columns).replace_schema_metadata(metadata)
        name = f"train-{shard.index:05d}-of-{self.shards:05d}.parquet"
        with atomic_write(self.folder / "data" / name) as partial:
            parquet.write_table(table, partial)


class WebDataset(_Files):
    """train-000000.tar with 000000123.png, .cls (the class index) and .json. Equal rows give equal bytes."""

    def write(self, shard: Shard) -> None:
        plan = self.plan
        with (
            atomic_write(self.folder / f"train-{shard.index:06d}.tar") as partial,
            tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for position, (image, label) in enumerate(zip(shard.images, shard.labels)):
                facts: dict[str, Any] = {"latent_seed": int(shard.seeds[position])}
                members = {"png": encode_png(image)}
                if plan.label_type == "multi_hot":
                    facts["attributes"] = {name: int(value) for name, value in zip(plan.names, label)}
                elif plan.label_type != "none":
                    facts["class"] = plan.names[label]
                    members["cls"] = str(label).encode()
                members["json"] = json.dumps(facts, ensure_ascii=False).encode()
                for suffix, content in members.items():
                    entry = tarfile.TarInfo(f"{shard.first_row + position:09d}.{suffix}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


FORMATS: dict[str, Callable[[Path, Plan, tuple[int, int, int], int], Format]] = {
    "folders": Folders,
    "tensors": Tensors,
    "parquet": Parquet,
    "webdataset": WebDataset,
}


def encode_png(image: np.ndarray) -> bytes:
    """PNG file content of one image, uint8 (C, S, S)."""
    buffer = io.BytesIO()
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def folder_names(names: list[str]) -> list[str]:
    """Valid folder names, such as T-shirt_top for T-shirt/top. Names that become equal get an index."""
    cleaned = [(_FORBIDDEN.sub("_", name).strip(" .") or "_")[:200] for name in names]
    lowered = [name.lower() for name in cleaned]
    return [
        f"{name}~{index}" if lowered.count(name.lower()) > 1 else name for index, name in enumerate(cleaned)
    ]
