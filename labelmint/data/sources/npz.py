"""Reader of a data set in one .npz, such as MedMNIST's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labelmint.data.npz_set import read_set
from labelmint.data.settings import Dataset
from labelmint.data.source import Source
from labelmint.data.sources.imagefolder import check_sha256


def read(dataset: Dataset, raw: Path, scratch: Path) -> Source:
    path = Path(str(dataset.path))
    checksums = {f"{path.name} (sha256)": check_sha256(path, dataset.sha256)} if dataset.sha256 else {}
    return replace(read_set(path, dataset.name, scratch), checksums=checksums)
