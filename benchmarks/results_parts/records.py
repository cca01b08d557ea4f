"""Records of results: what docs/results/*.json hold of a run, and where its numbers come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval, MinLen
from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

from labelmint.metrics.worth import Worth
from labelmint.runtime.atomic_files import load_json, save_json
from labelmint.runtime.errors import InputError

SCHEMA = "labelmint results 1"
"""Names the schema in each record; JSON files without it belong to the benchmarks that wrote them."""

Fraction = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(0)]
ChosenOn = Literal["test", "validation", "nothing"]
"""Images on which the settings of a run were compared with others: test images, held-out images, or none."""


class _Strict:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Measured(_Strict):
    """Classifiers that were trained on one source of images.

    accuracy: mean over the seeds. low, high: its 95 % interval; None where it is not known.
    real_images, synthetic_images: numbers of training images; None where they are not known.
    worth: in real images; None without a learning curve.
    """

    accuracy: Fraction
    low: Fraction | None = None
    high: Fraction | None = None
    real_images: Count | None = None
    synthetic_images: Count | None = None
    worth: Worth | None = None


@dataclass(frozen=True)
class Entry(_Strict):
    """Results of one generator on one fraction of a data set's real images.

    network, steps: of the classifiers. seeds: their number. split: real images that all were evaluated on.
    sources: by name.
    """

    dataset: str
    percent: Annotated[int, Interval(ge=1, le=100)]
    generator: str
    network: str
    steps: Count | None
    seeds: Annotated[int, Ge(1)]
    split: Literal["test", "validation"]
    test_images: Count
    sources: Annotated[dict[str, Measured], MinLen(1)]

    @property
    def arm(self) -> tuple[str, int, str]:
        return self.dataset, self.percent, self.generator


@dataclass(frozen=True)
class Record(_Strict):
    """Results of one run.

    title: what distinguishes the run, in a few words. date: of the run, e.g. 2026-11-27.
    machine: its GPU, or the model and the number of cores of its CPU. code: commit.
    chosen_on: None where it is not known. page: name of the page beside the record that explains the run.
    replaces: names of older records whose entries for the same arms the headline table no longer shows.
    """

    title: str
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    command: str
    machine: str
    torch: str | None
    code: str | None
    chosen_on: ChosenOn | None
    entries: Annotated[list[Entry], MinLen(1)]
    page: str | None = None
    replaces: list[str] = field(default_factory=list)


def path_of(folder: Path, name: str) -> Path:
    """Path of a new record. Raises: InputError if the name is not one, or taken."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise InputError(f"'{name}' is not a name of results: use a to z, digits, - and _")
    path = folder / f"{name}.json"
    if path.exists():
        raise InputError(f"{path} exists; choose another name, or delete the file first")
    return path


def save(path: Path, record: Record) -> None:
    save_json(path, {"schema": SCHEMA, **asdict(record)})


def load_all(folder: Path) -> dict[str, Record]:
    """Records in the folder by name. Raises: InputError that names a file and the value that is wrong."""
    contents = {path: load_json(path) for path in sorted(folder.glob("*.json"))}
    records = {
        path.stem: _checked(path, content)
        for path, content in contents.items()
        if isinstance(content, Mapping) and content.get("schema") == SCHEMA
    }
    for name, record in records.items():
        if unknown := set(record.replaces) - set(records):
            raise InputError(f"{folder / name}.json: replaces {min(unknown)}, which is no record beside it")
        if record.page and not (folder / record.page).exists():
            raise InputError(f"{folder / name}.json: its page {record.page} does not exist")
    return records


def _checked(path: Path, content: Mapping[str, object]) -> Record:
    text = json.dumps({name: value for name, value in content.items() if name != "schema"})
    try:
        return TypeAdapter(Record).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; correct it by hand, or record again") from None
