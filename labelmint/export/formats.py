"""How a sample lies on disk: PNG folders, arrays, Parquet, WebDataset. Each takes stretches of rows in any order, each a second time too."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
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
class Stretch:
    """Rows first.. of a sample, number `shard`. images: uint8 (n, C, S, S). labels: as orders.mint_rows gives them.

    numbers, seeds: int64 (n,), as orders.Rows.
    """

    shard: int
    first: int
    images: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    seeds: np.ndarray


class Format(Protocol):
    """begin, once, before any stretch; write, of a stretch, from any process; finish, once all are written."""

    def begin(self) -> None: ...

    def write(self, stretch: Stretch) -> None: ...

    def finish(self) -> None: ...


def open_format(name: str, folder: Path, plan: Plan, shape: tuple[int, int, int], shards: int) -> Format:
    """Raises: InputError when the library that writes it is not installed."""
    if name == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise InputError("--format parquet needs pyarrow: pip install 'labelmint[huggingface]'") from error
    return FORMATS[name](folder, plan, shape, shards)


class _Files:
    def __init__(self, folder: Path, plan: Plan, shape: tuple[int, int, int], shards: int):
        self.folder, self.plan, self.shape, self.shards = folder, plan, shape, shards

    def begin(self) -> None: ...

    def finish(self) -> None: ...


class Folders(_Files):
    """<class>/000123.png, as torchvision's ImageFolder and `labelmint import` read it."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        plan = self.plan
        names = plan.names if plan.kind in ("per_class", "conditional") else plan.titles
        self.folders = dict(zip(names, folder_names(names)))

    def write(self, stretch: Stretch) -> None:
        plan, made = self.plan, set()
        for place, image in enumerate(stretch.images):
            label = stretch.labels[place]
            if plan.kind == "multi_hot":
                title = pattern_title(label, plan.names)
                # A fair generator tells outcomes itself, so that patterns may come out that were not asked for.
                name = self.folders.get(title) or folder_names([title])[0]
            else:
                name = self.folders[plan.names[label] if label >= 0 else plan.titles[0]]
            folder = self.folder / name
            if name not in made:
                folder.mkdir(parents=True, exist_ok=True)
                made.add(name)
            path = folder / f"{stretch.numbers[place]:06d}.png"
            with named_os_errors(path):
                path.write_bytes(encoded(image))


class Tensors(_Files):
    """images.npy, labels.npy and latent_seeds.npy, in the layout of data/synthetic/<arm>; memory maps open them."""

    def begin(self) -> None:
        count = (self.plan.total,)
        multi_hot = self.plan.kind == "multi_hot"
        label = ("<f4", (*count, len(self.plan.names))) if multi_hot else ("<i8", count)
        self.offsets: dict[str, int] = {}
        for name, (dtype, shape) in {
            "images": ("|u1", (*count, *self.shape)),
            "labels": label,
            "latent_seeds": ("<i8", count),
        }.items():
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
            path, content = self._partial(name), header.getvalue()
            size = len(content) + int(np.prod(shape)) * np.dtype(dtype).itemsize
            self.offsets[name] = len(content)
            # An earlier attempt's rows stay where they are, also where it ended while it finished.
            if (self.folder / f"{name}.npy").exists():
                os.replace(self.folder / f"{name}.npy", path)
            with named_os_errors(path), path.open("r+b" if path.exists() else "wb") as file:
                file.write(content)
                file.truncate(size)

    def write(self, stretch: Stretch) -> None:
        for name, array in (("images", stretch.images), ("labels", stretch.labels), ("latent_seeds", stretch.seeds)):
            rows = np.ascontiguousarray(array, None if name == "images" else _stored(array))
            path = self._partial(name)
            with named_os_errors(path), path.open("r+b") as file:
                file.seek(self.offsets[name] + stretch.first * rows[0].nbytes)
                file.write(rows.data)

    def finish(self) -> None:
        for name in self.offsets:
            if self._partial(name).exists():
                os.replace(self._partial(name), self.folder / f"{name}.npy")
        save_checksums(self.folder)

    def _partial(self, name: str) -> Path:
        return self.folder / f"{name}.npy.partial"


class Parquet(_Files):
    """data/train-00000-of-00010.parquet with columns image, label or one per attribute, and latent_seed, typed for `datasets`."""

    def write(self, stretch: Stretch) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        plan = self.plan
        images = [{"bytes": encoded(image), "path": None} for image in stretch.images]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        columns: dict[str, Any] = {"image": pa.array(images, kind)}
        features: dict[str, Any] = {"image": {"_type": "Image"}}
        if plan.kind == "multi_hot":
            for place, name in enumerate(plan.names):
                columns[name] = pa.array(stretch.labels[:, place] > 0.5)
                features[name] = {"dtype": "bool", "_type": "Value"}
        elif plan.kind != "none":
            columns["label"] = pa.array(stretch.labels.astype(np.int64))
            features["label"] = {"names": plan.names, "_type": "ClassLabel"}
        columns["latent_seed"] = pa.array(stretch.seeds)
        features["latent_seed"] = {"dtype": "int64", "_type": "Value"}
        described = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table(columns).replace_schema_metadata(described)
        name = f"train-{stretch.shard:05d}-of-{self.shards:05d}.parquet"
        with atomic_write(self.folder / "data" / name) as partial:
            parquet.write_table(table, partial)


class WebDataset(_Files):
    """train-000000.tar with 000000123.png, .cls (the class's number) and .json; the same rows give the same bytes."""

    def write(self, stretch: Stretch) -> None:
        plan = self.plan
        with (
            atomic_write(self.folder / f"train-{stretch.shard:06d}.tar") as partial,
            tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for place, image in enumerate(stretch.images):
                key, label = f"{stretch.first + place:09d}", stretch.labels[place]
                facts: dict[str, Any] = {"latent_seed": int(stretch.seeds[place])}
                parts = {"png": encoded(image)}
                if plan.kind == "multi_hot":
                    facts["attributes"] = {name: int(value) for name, value in zip(plan.names, label)}
                elif plan.kind != "none":
                    facts["class"] = plan.names[label]
                    parts["cls"] = str(label).encode()
                parts["json"] = json.dumps(facts, ensure_ascii=False).encode()
                for ending, content in parts.items():
                    entry = tarfile.TarInfo(f"{key}.{ending}")
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))


FORMATS: dict[str, type[Any]] = {
    "folders": Folders,
    "tensors": Tensors,
    "parquet": Parquet,
    "webdataset": WebDataset,
}


def encoded(image: np.ndarray) -> bytes:
    """uint8 (C, S, S) -> PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def folder_names(names: list[str]) -> list[str]:
    """A folder's name for each, such as T-shirt_top for T-shirt/top; where two would fall together, each with its number."""
    cleaned = [(_FORBIDDEN.sub("_", name).strip(" .") or "_")[:200] for name in names]
    lowered = [name.lower() for name in cleaned]
    return [f"{name}~{place}" if lowered.count(name.lower()) > 1 else name for place, name in enumerate(cleaned)]


def _stored(array: np.ndarray) -> str:
    return "<f4" if array.dtype.kind == "f" else "<i8"
