"""What every setting of params.yaml means, from the schema itself: its types, its docstrings, its defaults."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from pipeline.settings import schema as settings

_ANY_FAMILY = "families.<generator>"
_CONTINUED = 12  # columns
_HEAD = """# Settings

Written by `labelmint params --markdown` from the schema that checks `params.yaml`; a test holds it to that. “Default” is what
`experiments/default.yaml` says, which every experiment is laid over; of families it is what is left out. A setting that is unknown,
of another type or impossible is refused before any stage starts, with the nearest name.
"""


@dataclass(frozen=True)
class Setting:
    """name: with dots, such as training.epochs. type: in words. default: as YAML has it."""

    name: str
    type: str
    default: Any
    meaning: str


def collect(root: Path) -> list[Setting]:
    """All settings, in the order of the schema. root: of the project."""
    return [setting for _, _, group in _groups(root) for setting in group]


def find(root: Path, name: str) -> list[Setting]:
    """The setting of that name, or all of that group. Raises: InputError when there is none."""
    known = collect(root)
    wanted = re.sub(r"^families\.[a-z0-9_]+", _ANY_FAMILY, name)
    found = [each for each in known if each.name == wanted or each.name.startswith(f"{wanted}.")]
    if not found:
        raise InputError(
            f"no setting '{name}'{settings.nearest(wanted, [each.name for each in known])}; `labelmint params` lists them"
        )
    return found


def to_text(found: list[Setting]) -> str:
    """For a person at a terminal: two lines each."""
    return "\n".join(f"{each.name}: {_yaml(each.default)}  ({each.type})\n    {each.meaning}" for each in found)


def to_json(found: list[Setting]) -> str:
    return json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1)


def to_markdown(root: Path) -> str:
    """docs/params.md."""
    parts = [_HEAD]
    for name, about, group in _groups(root):
        parts.append(f"## {name.replace('<', '&lt;').replace('>', '&gt;')}\n")
        parts += [f"{about}\n"] if about else []
        lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
        for each in group:
            own = each.name.removeprefix(f"{name}.")
            cells = [f"`{own}`", each.type, f"`{_yaml(each.default)}`", each.meaning]
            lines.append("| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _groups(root: Path) -> Iterator[tuple[str, str, list[Setting]]]:
    """(name, what it is, its settings) of every mapping in params.yaml."""
    from pydantic import TypeAdapter
    from ruamel.yaml import YAML

    schema = TypeAdapter(settings.Params).json_schema()
    values = YAML().load((root / "experiments" / "default.yaml").read_text())
    waiting: list[tuple[str, type, Any]] = [("", settings.Params, values)]
    while waiting:
        prefix, kind, given = waiting.pop(0)
        hints, meanings = get_type_hints(kind), _items(kind)
        properties = schema["$defs"][kind.__name__]["properties"] if prefix else schema["properties"]
        own, below = [], []
        for field in fields(kind):
            name = f"{prefix}.{field.name}" if prefix else field.name
            if field.name == "families":
                below.append((_ANY_FAMILY, Family, values["families"]["dcgan"]))
            elif is_dataclass(hints[field.name]):
                below.append((name, hints[field.name], given[field.name]))
            else:
                default = _default(field) if prefix.startswith("families") else given[field.name]
                meaning = max(meanings.get(field.name, ""), _comment(given, field.name), key=len)
                own.append(Setting(name, _type(properties[field.name]), _plain(default), meaning))
        waiting = below + waiting
        if own:
            yield prefix or "arms", _about(kind), own


def _about(kind: type) -> str:
    """The docstring's first sentence, less what stands in the table or in the title anyway."""
    first = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    about = re.sub(r"^`[\w.<>]+`( in params.yaml)?[.:] ?", "", re.sub(r"(^| )\w+(, \w+)*: .*", "", first))
    return about[:1].upper() + about[1:]


def _items(kind: type) -> dict[str, str]:
    """name -> meaning, from "name: meaning." in the docstring, where an item begins a line or a sentence."""
    text, names = inspect.getdoc(kind) or "", [field.name for field in fields(kind)]
    one = "|".join(sorted(names, key=len, reverse=True))
    found = list(re.finditer(rf"(?:^|(?<=\n)|(?<=\. ))((?:{one})(?:, (?:{one}))*): ", text))
    items: dict[str, str] = {}
    for place, match in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(text)
        meaning = " ".join(text[match.end() : end].split("\n\n")[0].split()).rstrip(";")
        items |= dict.fromkeys(match[1].split(", "), meaning)
    return items


def _comment(given: Any, name: str) -> str:
    """What params.yaml says beside it; empty where it says nothing."""
    token = given.ca.items.get(name)
    lines = token[2].value.split("\n") if token and len(token) > 2 and token[2] else [""]
    # A comment goes on below itself, far to the right; what stands further left is about what follows.
    own = lines[:1] + [line for line in lines[1:] if line.startswith(" " * _CONTINUED)]
    return " ".join(line.strip().lstrip("# ") for line in own if line.strip())


def _default(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    """Without ruamel's own kinds of lists and numbers."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, float) else value


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return {"integer": "whole number", "number": "number", "boolean": "`true` | `false`", "string": "text", "null": "`null`"}[schema["type"]]  # fmt: skip


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(each) for each in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else '""'
