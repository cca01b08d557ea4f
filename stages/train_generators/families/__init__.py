"""One small file per family: its networks and its objective."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def load(name: str) -> ModuleType:
    """The family's module. It offers build_generator, build_discriminator and objective."""
    return import_module(f"{__name__}.{name}")
