"""The reference of all settings, from the schema itself: types, ranges, defaults and meanings."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from typing import Any

from typing_extensions import Doc

from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError
from labelmint.runtime.validation import hints, type_name, unwrap
from labelmint.runtime.words import did_you_mean
from pipeline.settings.schema import Params, new_name

_ANY_FAMILY = "families.<generator>"
_COMMENT_COLUMN, _LINE_LENGTH = 28, 110
_HEAD = """# Settings

`labelmint params --markdown` writes this page from the schema that checks `params.yaml`.
The default is the value of a setting that `params.yaml` leaves out; `experiments/default.yaml` sets its own.
An unknown setting, a wrong type or an impossible value is refused before any stage starts.
"""


@dataclass(frozen=True)
class Setting:
    """A setting. name: with dots, e.g. training.epochs. type: with its range. default: None if required."""

    name: str
    type: str
    default: Any
    required: bool
    meaning: str


def collect() -> list[Setting]:
    """All settings, in the order of the schema."""
    return [setting for _, _, group in _groups() for setting in group]


def find(name: str) -> list[Setting]:
    """The setting of that name, or all settings of that group. Raises InputError if there is none."""
    known = collect()
    wanted = re.sub(r"^families\.[a-z0-9_]+", _ANY_FAMILY, name)
    found = [each for each in known if each.name == wanted or each.name.startswith(f"{wanted}.")]
    if not found:
        if renamed := new_name(name):
            raise InputError(f"{name} is now {renamed}")
        hint = did_you_mean(wanted, [each.name for each in known])
        raise InputError(f"no setting '{name}'{hint}; `labelmint params` lists all")
    return found


def to_text(found: list[Setting]) -> str:
    """Two lines per setting, for a terminal."""
    return "\n".join(f"{each.name}: {_default(each)}  ({each.type})\n    {each.meaning}" for each in found)


def to_json(found: list[Setting]) -> str:
    return json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1)


def to_markdown() -> str:
    """Content of docs/params.md."""
    parts = [_HEAD]
    for name, about, group in _groups():
        parts += [f"## {_escaped(name or 'arms')}\n", f"{_escaped(about)}\n"]
        lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
        for each in group:
            cells = [
                f"`{each.name.removeprefix(f'{name}.')}`",
                each.type,
                f"`{_default(each)}`",
                each.meaning,
            ]
            lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def with_comments(text: str) -> str:
    """A settings file in block style with the comment of every setting and group written from the schema.

    Comments on lines of their own, which say more about what follows, are kept.
    """
    comments = _comments()
    lines: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        if re.match(rf" {{{_COMMENT_COLUMN - 1},}}#", line):  # continues a comment that is replaced
            continue
        setting = re.match(r"((?:  )*)([a-z0-9_]+):", line)
        if not setting:
            lines.append(line)
            continue
        path = [*path[: len(setting[1]) // 2], setting[2]]
        name = re.sub(r"^families\.[a-z0-9_]+", _ANY_FAMILY, ".".join(path))
        # Popped: only the first family has comments.
        lines += _commented(re.split(r"\s+#\s", line)[0].rstrip(), comments.pop(name, ""))
    return "\n".join(lines) + "\n"


def _commented(code: str, comment: str) -> list[str]:
    """A line of YAML with a comment beside it, which continues on lines below."""
    if not comment:
        return [code]
    column = max(_COMMENT_COLUMN, len(code) + 1)
    first, *others = textwrap.wrap(comment, _LINE_LENGTH - column - 2)
    return [f"{code:{column}}# {first}", *(f"{'':{column}}# {line}" for line in others)]


def _comments() -> dict[str, str]:
    """The first sentence about every setting, with the values it takes, and about every group, by name."""
    result = {name: _first_sentence(about) for name, about, _ in _groups() if name not in ("", _ANY_FAMILY)}
    for each in collect():
        choices = (
            f": {each.type.removeprefix('list of ')}"
            if "|" in each.type and each.type != "true | false"
            else ""
        )
        result[each.name] = _first_sentence(each.meaning) + choices
    return result


def _first_sentence(text: str) -> str:
    return re.split(r"(?<!e\.g)(?<!et al)\.(?: |$)", text)[0]


def _groups() -> Iterator[tuple[str, str, list[Setting]]]:
    """Name, description and settings of every group; the name of the top level is empty."""
    waiting: list[tuple[str, Any]] = [("", Params)]
    while waiting:
        prefix, kind = waiting.pop(0)
        own: list[Setting] = []
        below: list[tuple[str, Any]] = []
        for field in fields(kind):
            annotation, metadata = unwrap(hints(kind)[field.name])
            name = f"{prefix}.{field.name}".lstrip(".")
            if field.name == "families":
                below.append((_ANY_FAMILY, Family))
            elif is_dataclass(annotation):
                below.append((name, annotation))
            else:
                own.append(_setting(name, field, hints(kind)[field.name], metadata))
        waiting = below + waiting
        if own:
            yield prefix, " ".join((inspect.getdoc(kind) or "").split()), own


def _setting(name: str, field: Field[Any], annotation: Any, metadata: list[Any]) -> Setting:
    (meaning,) = [each.documentation for each in metadata if isinstance(each, Doc)]
    factory = field.default_factory
    default = field.default if field.default is not MISSING else factory() if factory is not MISSING else None
    required = field.default is MISSING and factory is MISSING
    return Setting(name, type_name(annotation), default, required, meaning)


def _default(setting: Setting) -> str:
    return "required" if setting.required else _yaml(setting.default)


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(each) for each in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else '""'


def _escaped(text: str) -> str:
    """Text for a Markdown table."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace(">", "&gt;")
