"""Mint a sample of any size into a folder: memory is bounded by one stretch a process, and a stop at any moment is gone on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labelmint.export.formats import Format, Stretch, encoded, open_format
from labelmint.export.orders import Order, Plan, sample_rows
from labelmint.gans.archive import GeneratorArchive
from labelmint.runtime import process_pool
from labelmint.runtime.atomic_files import load_json, save_bytes, save_json
from labelmint.runtime.devices import threads
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import Progress
from labelmint.runtime.settings import Compute

STATE = ".sample.json"  # hidden, so that no reader of the images takes it for data
_JOURNAL = ".finished"
_DATASHEET = "README.md"
_STRETCH_BYTES = 32 << 20
_STRETCH_ROWS = 10_000
_LOOK = 64


@dataclass(frozen=True)
class Export:
    """generator: names the weights. format: one of formats.FORMATS. workers: processes of one thread each; None: one per core."""

    archive: GeneratorArchive
    generator: str
    order: Order
    format: str
    folder: Path
    workers: int | None = None
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", Plan(self.archive, self.order))
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise InputError(f"--workers must be 1 to 1024, got {self.workers}")

    @property
    def rows_per_stretch(self) -> int:
        channels, height, width = self.archive.shape
        return max(1, min(_STRETCH_ROWS, _STRETCH_BYTES // (channels * height * width)))

    @property
    def stretches(self) -> int:
        return -(-self.plan.total // self.rows_per_stretch)

    def identity(self) -> dict[str, Any]:
        """What must be the same for a stopped export to go on."""
        order = {**asdict(self.order), "wished": list(self.order.requested)}
        return {"generator": self.generator, **order, "format": self.format, "rows_per_stretch": self.rows_per_stretch}


def expected_bytes(export: Export) -> int:
    """Of the whole sample, from a few of its images."""
    rows = export.plan.rows(0, min(_LOOK, export.plan.total))
    with threads(1):
        images, _ = sample_rows(export.archive, export.plan, rows)
    if export.format == "tensors":
        return export.plan.total * (images[0].nbytes + 16)
    one = sum(len(encoded(image)) for image in images) / len(images)
    overhead = {"folders": 0, "parquet": 24, "webdataset": 3 * 1024}[export.format]
    return int(export.plan.total * (one + overhead))


def run(export: Export, datasheet: str) -> int:
    """Write what is still missing, and `datasheet` as README.md. Returns: how many images were minted now; 0 where the sample was there already.

    Raises: InputError when the folder holds something else; nothing in it is touched then.
    """
    finished = _finished(export)
    if finished is None:
        return 0
    plan, folder = export.plan, export.folder
    writer = open_format(export.format, folder, plan, export.archive.shape, export.stretches)
    folder.mkdir(parents=True, exist_ok=True)
    save_json(folder / STATE, {**export.identity(), "complete": False})
    writer.begin()
    # Written anew, so that a line that a kill cut short does not run into the next.
    save_bytes(folder / _JOURNAL, "".join(f"{number}\n" for number in sorted(finished)).encode())
    missing = [number for number in range(export.stretches) if number not in finished]
    sizes = [_last(export, number) - number * export.rows_per_stretch for number in missing]
    with (
        (folder / _JOURNAL).open("a") as journal,
        Progress(folder.name, sum(sizes), "images") as progress,
        closing(_written(export, writer, missing)) as done,
    ):
        for place, _ in done:
            journal.write(f"{missing[place]}\n")
            journal.flush()
            progress.add(sizes[place])
    writer.finish()
    save_bytes(folder / _DATASHEET, datasheet.encode())
    save_json(folder / STATE, {**export.identity(), "complete": True})
    (folder / _JOURNAL).unlink()
    return sum(sizes)


def _finished(export: Export) -> set[int] | None:
    """Stretches that an earlier attempt wrote; None when it wrote all. Raises: InputError when the folder is another's."""
    folder = export.folder
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; name a folder")
    if not folder.exists() or all(path.name.startswith(STATE + ".") for path in folder.iterdir()):
        return set()
    if not (folder / STATE).exists():
        raise InputError(f"--out {folder} is not empty; name a new folder")
    state = load_json(folder / STATE)
    if not isinstance(state, dict):
        raise InputError(f"{folder / STATE}: not what `labelmint sample` writes; name a new folder")
    complete = state.pop("complete", False)
    for name, value in export.identity().items():
        if state.get(name) != value:
            raise InputError(
                f"--out {folder} holds a sample of another order ({name}: {state.get(name)}, now {value}); name a new folder"
            )
    if complete is True:
        return None
    journal = folder / _JOURNAL
    # A line that was cut by a kill counts as not written.
    lines = journal.read_text().split("\n")[:-1] if journal.exists() else []
    return {int(line) for line in lines if line.isdecimal()}


def _last(export: Export, number: int) -> int:
    return min((number + 1) * export.rows_per_stretch, export.plan.total)


def _written(export: Export, writer: Format, missing: list[int]) -> Iterator[tuple[int, None]]:
    """Yield (place in `missing`, None) as each is written."""
    work = partial(_write, export, writer)
    count = process_pool.count(Compute(workers=export.workers or "auto"), len(missing))
    if count > 1:
        yield from process_pool.in_processes(work, missing, count, torch.set_num_threads, (1,))
        return
    with threads(1):  # as in a process of its own: another number of threads could round otherwise
        for place, number in enumerate(missing):
            yield place, work(number)


def _write(export: Export, writer: Format, number: int) -> None:
    first = number * export.rows_per_stretch
    rows = export.plan.rows(first, _last(export, number))
    images, labels = sample_rows(export.archive, export.plan, rows)
    writer.write(Stretch(number, first, images, labels, rows.numbers, rows.seeds))
