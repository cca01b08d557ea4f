"""Which of how many stages a stage is, without DVC, whose import takes longer than many a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.dvc.lock_file import stages_of


def position(root: Path, address: str, settings: Mapping[str, Any]) -> tuple[int, int] | None:
    """(number of the stage, number of all stages), from 1; None if dvc.yaml lacks the stage.

    address: DVC's name of the stage, e.g. train_generators@dcgan-40-0. settings: content of params.yaml.
    """
    names = list(addresses(root, settings))
    return (names.index(address) + 1, len(names)) if address in names else None


def addresses(root: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    """DVC's names of all stages in the order of dvc.yaml.

    `dvc repro` runs them in this order if every stage stands there after those that it needs.
    """
    for name, entry in stages_of(root / "dvc.yaml").items():
        if "matrix" not in entry:
            yield name
            continue
        lists = (_resolved(values, settings) for values in entry["matrix"].values())
        for combination in product(*lists):
            yield f"{name}@{'-'.join(map(str, combination))}"


def _resolved(values: Any, settings: Mapping[str, Any]) -> list[Any]:
    """A list of dvc.yaml, or the setting of params.yaml that it names, e.g. ${percents}."""
    reference = re.fullmatch(r"\$\{(\w+)\}", values) if isinstance(values, str) else None
    found = settings.get(reference[1]) if reference else values
    return list(found) if isinstance(found, list) else []
