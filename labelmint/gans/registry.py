"""One small file per family: its networks and its objective."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "families").glob("[!_]*.py"))


def load(name: str) -> ModuleType:
    """The family's module.

    It offers LABELS, the kinds of labels that it takes; build_generator(family, shape, labels), build_discriminator(family,
    shape, labels), where `labels` is the length of a label; and objective(family).
    """
    return import_module(f"labelmint.families.{name}")


def check(name: str, family: Family, dataset_labels: list[str]) -> None:
    """dataset_labels: names of the classes or attributes. Raises: InputError for settings that the family cannot have."""
    module = load(name)
    if family.labels not in module.LABELS:
        raise InputError(f"families.{name}.labels: {name} takes {' or '.join(module.LABELS)}, not {family.labels}")
    try:
        objective: Any = module.objective(family)
        if objective.paired and family.update == "sequential":
            raise ValueError("compares real with minted images; it needs update: alternating or simultaneous")
        if family.label_smoothing and not objective.has_target:
            raise ValueError("its objective has no target that label_smoothing could soften; set it to 0")
        if hasattr(module, "check"):
            module.check(family, dataset_labels)
    except ValueError as error:
        raise InputError(f"families.{name}: {error}") from error
