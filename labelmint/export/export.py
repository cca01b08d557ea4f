"""Export any number of synthetic images to a folder.

Memory use is bounded by one shard per process. An interrupted export resumes after its last complete shard.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labelmint.export.formats import Format, Shard, encode_png, open_format
from labelmint.export.orders import Order, Plan, sample_rows
from labelmint.gans import published
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime import process_pool
from labelmint.runtime.atomic_files import load_json, save_bytes, save_json
from labelmint.runtime.devices import arithmetic, find_device, pick_device, threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Count, Progress
from labelmint.runtime.settings import Compute

STATE = ".sample.json"  # hidden, so that readers of the images do not take it for data
_JOURNAL = ".finished"
_DATASHEET = "README.md"
_SHARD_BYTES = 32 << 20
_SHARD_ROWS = 10_000
_MEASURED_IMAGES = 64


@dataclass(frozen=True)
class Export:
    """One order, and where and how its images are written.

    generator: hash that identifies the weights.
    format: a key of formats.FORMATS.
    compute: its device and workers; images of different devices differ in rounding.
    """

    archive: GeneratorArchive
    generator: str
    order: Order
    format: str
    folder: Path
    compute: Compute = field(default_factory=Compute)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", Plan(self.archive, self.order))

    @classmethod
    def of_folder(cls, generator: Path, order: Order, format: str, target: Path, compute: Compute) -> Export:
        """An export of the generator in a folder. Raises: InputError."""
        archive = published.open_generator(generator)
        description = (generator / published.DESCRIPTION).read_bytes()  # it holds the hash of the weights
        return cls(archive, hashlib.sha256(description).hexdigest(), order, format, target, compute)

    @property
    def device(self) -> str:
        """Kind of the device that computes the images: cpu, cuda or mps."""
        return find_device(self.compute.device).type

    @property
    def rows_per_shard(self) -> int:
        channels, height, width = self.archive.shape
        return max(1, min(_SHARD_ROWS, _SHARD_BYTES // (channels * height * width)))

    @property
    def shards(self) -> int:
        return -(-self.plan.total // self.rows_per_shard)

    def row_range(self, shard: int) -> tuple[int, int]:
        """First row of a shard, and the row after its last."""
        first = shard * self.rows_per_shard
        return first, min(first + self.rows_per_shard, self.plan.total)

    def identity(self) -> dict[str, Any]:
        """Facts that must be equal for an interrupted export to resume."""
        order = {**asdict(self.order), "requested": list(self.order.requested)}
        return {
            "generator": self.generator,
            **order,
            "format": self.format,
            "device": self.device,
            "rows_per_shard": self.rows_per_shard,
        }


def expected_bytes(export: Export) -> int:
    """Size of the finished export on disk, estimated from a few of its images."""
    rows = export.plan.rows(0, min(_MEASURED_IMAGES, export.plan.total))
    with threads(1):
        images, _ = sample_rows(export.archive, export.plan, rows)
    if export.format == "tensors":
        return export.plan.total * (math.prod(export.archive.shape) + 16)
    mean_size = sum(len(encode_png(image)) for image in images) / len(images)
    overhead = {"folders": 0, "parquet": 24, "webdataset": 3 * 1024}[export.format]
    return int(export.plan.total * (mean_size + overhead))


def run(export: Export, datasheet: str) -> int:
    """Write the missing shards, and `datasheet` as README.md.

    Returns: the number of images sampled by this call; 0 if the export was complete already.
    Raises: InputError if the folder holds anything else; nothing in it is changed then.
    """
    finished = _finished_shards(export)
    if finished is None:
        return 0
    folder = export.folder
    writer = open_format(export.format, folder, export.plan, export.archive.shape, export.shards)
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / STATE, {**export.identity(), "complete": False})
    writer.begin()
    # Rewritten, because an interrupted export may have left an incomplete last line.
    save_bytes(folder / _JOURNAL, "".join(f"{shard}\n" for shard in sorted(finished)).encode())
    missing = [shard for shard in range(export.shards) if shard not in finished]
    sizes = [last - first for first, last in map(export.row_range, missing)]
    write = partial(_write_shard, export, writer)
    with (
        arithmetic(export.compute, pick_device(export.compute)),
        (folder / _JOURNAL).open("a", encoding="utf-8") as journal,
        Progress(folder.name, sum(sizes), "images") as progress,
        closing(process_pool.run_jobs(write, missing, export.compute, progress)) as written,
    ):
        for index, _ in written:
            journal.write(f"{missing[index]}\n")
            journal.flush()
    writer.finish()
    save_bytes(folder / _DATASHEET, datasheet.encode())
    save_json(folder / STATE, {**export.identity(), "complete": True})
    (folder / _JOURNAL).unlink()
    return sum(sizes)


def _finished_shards(export: Export) -> set[int] | None:
    """Shards that an interrupted export wrote; None if the export is complete.

    Raises: InputError if the folder holds anything but this export.
    """
    folder = export.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; name a folder")
    if not folder.exists() or all(path.name.startswith(STATE + ".") for path in folder.iterdir()):
        return set()
    if not (folder / STATE).exists():
        raise InputError(f"--out {folder} is not empty; name a new folder")
    state = load_json(folder / STATE)
    if not isinstance(state, dict):
        raise InputError(f"{folder / STATE}: not a file of `labelmint sample`; name a new folder")
    state = {"device": "cpu", "latent_deviation": 1.0} | state  # of versions that knew no other
    complete = state.pop("complete", False)
    for name, value in export.identity().items():
        if state.get(name) != value:
            difference = f"{name}: {state.get(name)}, now {value}"
            raise InputError(
                f"--out {folder} holds a sample of another order ({difference}); name a new folder"
            )
    if complete is True:
        return None
    journal = folder / _JOURNAL
    # An incomplete last line does not count.
    lines = journal.read_text(encoding="utf-8").split("\n")[:-1] if journal.exists() else []
    return {int(line) for line in lines if line.isdecimal()}


def _write_shard(export: Export, writer: Format, shard: int, device: torch.device, count: Count) -> None:
    first, last = export.row_range(shard)
    rows = export.plan.rows(first, last)
    images, labels = sample_rows(export.archive, export.plan, rows, device)
    writer.write(Shard(shard, first, images, labels, rows.numbers, rows.seeds))
    count(last - first)
