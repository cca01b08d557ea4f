"""YAML that a stranger may have written: read in bounded time, however it nests and refers to itself."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scanner import Scanner

_MOST_NESTED = 50
_MOST_VALUES = 100_000


class _Shallow(Scanner):
    """Looks ahead at each bracket over all that are open: a few thousand of them would take it minutes."""

    def fetch_flow_collection_start(self, *arguments: Any, **named: Any) -> None:
        if self.flow_level >= _MOST_NESTED:
            raise RecursionError
        super().fetch_flow_collection_start(*arguments, **named)


def load(text: str) -> Any:
    """Nested dicts and lists. Raises: YAMLError; ValueError; RecursionError when it is nested too deeply."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _Shallow
    if "*" in text:
        _expanded(yaml.compose(text), {})
    return yaml.load(text)


def _expanded(node: Any, known: dict[int, int]) -> int:
    """How many values a node of YAML is once its aliases are written out. known: of nodes met before; 0 of those around this one.

    Raises: ValueError when they are more than settings have, or have no end.
    """
    if id(node) not in known:
        known[id(node)] = 0
        inner = node.value if isinstance(getattr(node, "value", None), list) else []
        parts = [part for each in inner for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    count = known[id(node)]
    if not 0 < count <= _MOST_VALUES:
        what = f"make more than {_MOST_VALUES:,} values of it" if count else "lead back to themselves"
        raise ValueError(f"its aliases (*) {what}; write the values out")
    return count
