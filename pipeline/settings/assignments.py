"""Settings given as text, such as `training.epochs=5 percents=[20, 100]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from labelmint.runtime.errors import InputError
from pipeline.settings import schema

_NAME = r"[A-Za-z_]\w*(?:\.\w+)*"
_STARTS = re.compile(rf"(?:^|(?<=\s)){_NAME}=")


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """Nested changes to settings. Each text holds one or more assignments; values are YAML.

    Whether the settings exist and take these values is for the schema. Raises: InputError.
    """
    from ruamel.yaml.error import YAMLError

    changes: dict[str, Any] = {}
    for text in assignments:
        starts = [found.start() for found in _STARTS.finditer(text)]
        if not starts or text[: starts[0]].strip():
            raise InputError(f"'{text}': expected NAME=VALUE, e.g. training.epochs=5")
        for start, end in zip(starts, [*starts[1:], len(text)]):
            name, _, value = text[start:end].strip().partition("=")
            try:
                _put(changes, name, schema.parse(f"value: {value}")["value"])
            except (YAMLError, KeyError, TypeError, ValueError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"{name}={value}: not a value as in YAML ({reason})") from error
    return changes


def of_run(percents: Sequence[int], settings: str) -> dict[str, Any]:
    """Changes of one run: `percents` unless empty, and the assignments in `settings`. Raises: InputError."""
    return ({"percents": list(percents)} if percents else {}) | parse([settings] if settings else [])


def _put(changes: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        below = changes.setdefault(group, {})
        if not isinstance(below, dict):
            raise ValueError(f"{group} has a value already")
        changes = below
    changes[last] = value
