"""Changes of YAML text that leave the rest of it as it is, byte for byte.

A round trip through ruamel.yaml keeps comments, but not `null`, spacing, or lists and mappings on one line.
"""

from __future__ import annotations

import io
import json
import re
from functools import lru_cache
from typing import Any

from labelmint.runtime.errors import InputError
from pipeline.settings import schema

_LINE_LENGTH = 110
_Edit = tuple[int, int, str]  # start and end of a span of the text, and what replaces it


def changed(text: str, changes: dict[str, Any]) -> str:
    """YAML text after `changes`: mappings merge into those that exist, everything else replaces.

    Only the spans of changed values are replaced; settings that the text lacks follow those of their mapping.
    Raises: InputError if that is not enough, e.g. for a value that is the alias of another.
    """
    from ruamel.yaml.error import YAMLError

    expected = schema.parse(text)
    edits: list[_Edit] = []
    _collect(text, _composed(text), expected, changes, edits)
    # From the end of the text. Of two insertions at one place, that of the inner mapping comes first in it.
    for start, end, new in sorted(reversed(edits), key=lambda edit: edit[0], reverse=True):
        text = text[:start] + new + text[end:]
    schema.overlay(expected, changes)
    try:
        is_right = _equal(schema.parse(text), expected)
    except YAMLError:
        is_right = False
    if not is_right:
        raise InputError(f"cannot change {', '.join(changes)}: write the file without anchors and aliases")
    return text


@lru_cache(maxsize=8)
def _composed(text: str) -> Any:
    """Nodes of a text with their spans, which nothing changes."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).compose(text)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, also in type: 1 is neither 1.0 nor true."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(other, sort_keys=True, default=str)


def _collect(text: str, mapping: Any, content: Any, changes: dict[str, Any], edits: list[_Edit]) -> None:
    """Append the edits that apply `changes` to a mapping. content: the mapping's value."""
    entries = {key.value: (key, value) for key, value in mapping.value}
    missing = {}
    for name, value in changes.items():
        if str(name) not in entries:
            missing[name] = value
            continue
        key, node = entries[str(name)]
        if isinstance(value, dict) and isinstance(content[name], dict):
            _collect(text, node, content[name], value, edits)
        elif not _equal(content[name], value):
            edits.append(_replacement(text, key, node, value))
    if missing:
        edits.append(_insertion(text, mapping, missing))


def _replacement(text: str, key: Any, node: Any, value: Any) -> _Edit:
    start, end = node.start_mark.index, _end(text, key, node)
    if _is_block(node) and isinstance(node.value, list) and isinstance(value, list) and value:
        indent = "\n" + " " * node.start_mark.column
        return start, end, indent.join(f"- {_flow(each)}" for each in value)
    new = _flow(value)
    if _is_block(node) or _is_empty(node):
        start, new = text.index(":", key.end_mark.index) + 1, f" {new}"
    comment = re.compile(r"( +)#").match(text, end)
    if comment and "\n" not in text[start:end]:  # stays in its column
        spaces = len(comment[1]) - (len(new) - (end - start))
        return start, comment.end(1), new + " " * max(1, spaces)
    return start, end, new


def _insertion(text: str, mapping: Any, missing: dict[str, Any]) -> _Edit:
    """Edit that adds settings at the end of a mapping."""
    if mapping.flow_style:
        at = mapping.end_mark.index - 1
        return at, at, (", " if mapping.value else "") + _flow(missing)[1:-1]
    at, column = _end(text, *mapping.value[-1]), mapping.start_mark.column
    # After the rest of the line, and the lines on which its comment continues.
    rest = re.compile(rf"[^\n]*(?:\n {{{column + 1},}}#[^\n]*)*").match(text, at)
    at = rest.end() if rest else at
    return at, at, "".join(f"\n{line}" for line in _block(missing, column))


def _end(text: str, key: Any, node: Any) -> int:
    """Where a value ends; ruamel's end of a block includes the comments and empty lines that follow it."""
    if node.value and _is_block(node):
        last = node.value[-1]
        return _end(text, *last) if isinstance(last, tuple) else _end(text, key, last)
    end: int = text.index(":", key.end_mark.index) + 1 if _is_empty(node) else node.end_mark.index
    return end


def _is_empty(node: Any) -> bool:
    """Whether nothing follows the colon, which is null; ruamel's mark may be on a later line."""
    return bool(node.start_mark.index == node.end_mark.index)


def _is_block(node: Any) -> bool:
    """Whether a node is a list or mapping that takes lines of its own."""
    return isinstance(node.value, list) and not node.flow_style


def _flow(value: Any) -> str:
    """A value on one line, e.g. [40, 60] or {kind: conv}."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = True, True, 1 << 30
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    if isinstance(value, dict):  # in a list, one of a single setting has no braces
        yaml.dump(value, buffer)
        return buffer.getvalue().strip()
    yaml.dump([value], buffer)  # in a list, since YAML ends a single scalar with `...`
    return buffer.getvalue().strip()[1:-1]


def _block(mapping: dict[str, Any], column: int) -> list[str]:
    """Lines of a mapping at a column; a mapping without mappings in it takes one line if it fits."""
    lines = []
    for name, value in mapping.items():
        line = f"{'':{column}}{_flow(name)}: {_flow(value)}"
        nested = isinstance(value, dict) and any(isinstance(each, dict) for each in value.values())
        if isinstance(value, dict) and value and (nested or len(line) > _LINE_LENGTH):
            lines += [f"{'':{column}}{_flow(name)}:", *_block(value, column + 2)]
        else:
            lines.append(line)
    return lines
