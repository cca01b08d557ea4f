"""Settings that are checked whenever one is made.

A group of settings is a frozen dataclass derived from `Settings`. Each field states name, type, range,
default and meaning in one place:

    epochs: Annotated[int, Interval(ge=1, le=100), Doc("Number of epochs.")] = 10
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import GroupedMetadata
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import CoreSchema, core_schema

_MAX_ERRORS = 3  # explained in one message
_MAX_VALUE_LENGTH = 80  # characters of a value quoted in a message
_TYPE_NAMES = {int: "integer", float: "number", str: "text"}


@dataclass(frozen=True)
class Forms:
    """Metadata of a text setting: the texts that it takes. N is an integer from 0 to 999, NAME a name.

    Forms(("cpu", "cuda:N")) takes "cpu", "cuda:0", "cuda:1", ….
    """

    texts: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        parts = {"NAME": "[A-Za-z][A-Za-z0-9_]*", "N": "(0|[1-9][0-9]{0,2})"}
        pattern = "|".join(
            re.sub("NAME|N", lambda found: parts[found[0]], re.escape(text)) for text in self.texts
        )
        return core_schema.str_schema(pattern=f"^({pattern})$", strict=True)


class Settings:
    """Base of all groups of settings: checks types and ranges at construction.

    A subclass with checks across fields has a `__post_init__` of its own, which first calls this one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    def __post_init__(self) -> None:
        """Raise ValueError with name, range and value of a field of the wrong type or out of range."""
        kind: Any = type(self)
        try:
            _model(kind).model_validate(vars(self))
        except ValidationError as error:
            raise ValueError(explain(error, kind, vars(self))) from None


@lru_cache
def _model(kind: type) -> type[BaseModel]:
    """The fields of `kind` as a model, which checks them without making another `kind`."""
    definitions: dict[str, Any] = {name: (hint, ...) for name, hint in hints(kind).items()}
    return create_model(kind.__name__, __config__=ConfigDict(strict=True, allow_inf_nan=False), **definitions)


@lru_cache
def hints(kind: type) -> dict[str, Any]:
    """Annotations of a group's settings by name, with their metadata."""
    return {
        name: hint
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if get_origin(hint) is not ClassVar
    }


def explain(error: ValidationError, kind: type, content: Any) -> str:
    """One line about the first wrong settings: each one's name, what is allowed, the value given.

    kind: the dataclass that was validated. content: the mapping that it was made from.
    """
    sentences: dict[str, str] = {}  # by name: a union has an error per branch
    for each in error.errors():
        name, annotation, value = _resolve(kind, each["loc"], content)
        sentences.setdefault(name, _sentence(each, name, annotation, value))
    return "; ".join(list(sentences.values())[:_MAX_ERRORS])


def _resolve(kind: Any, location: tuple[int | str, ...], value: Any) -> tuple[str, Any, Any]:
    """Name, annotation and value of the setting at `location`: of a union, not of one of its branches."""
    name, annotation = "", kind
    for part in location:
        plain = unwrap(annotation)[0]
        # A class, never an instance.
        if is_dataclass(plain) and part in hints(plain):  # type: ignore[arg-type]
            name, annotation = f"{name}.{part}".lstrip("."), hints(plain)[str(part)]  # type: ignore[arg-type]
        elif get_origin(plain) is dict:
            name, annotation = f"{name}.{part}", get_args(plain)[1]
        elif get_origin(plain) is list:
            name, annotation = f"{name}[{part}]", get_args(plain)[0]
        else:
            break
        value = value[part]
    return name, annotation, value


def _sentence(error: Any, name: str, annotation: Any, value: Any) -> str:
    if error["type"] in ("value_error", "json_invalid"):
        message = error["msg"].removeprefix("Value error, ")
        return f"{name}: {message}" if name else message
    plain, metadata = unwrap(annotation)
    if error["type"] in ("too_long", "too_short"):
        return f"{name} must have {bounds(metadata)} entries, got {len(value)}"
    out_of_range = error["type"].startswith(("greater_than", "less_than")) and not _is_union(plain)
    allowed = bounds(metadata) if out_of_range else _with_article(annotation)
    given = "" if isinstance(value, (list, dict)) or is_dataclass(value) else f", got {_quoted(value)}"
    return f"{name} must be {allowed}{given}"


def _quoted(value: Any) -> str:
    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = _MAX_VALUE_LENGTH
    return shortened.repr(value)


def unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without its metadata, and the metadata, groups such as Interval taken apart."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    plain, *metadata = get_args(annotation)
    return plain, [
        part for each in metadata for part in (each if isinstance(each, GroupedMetadata) else [each])
    ]


def bounds(metadata: list[Any]) -> str:
    """A range in words, e.g. "1 to 4096" or "above 0"; empty where there is none."""
    limits = {
        name: getattr(each, name)
        for each in metadata
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
        if getattr(each, name, None) is not None
    }
    low, high = limits.get("ge", limits.get("min_length")), limits.get("le", limits.get("max_length"))
    if low is not None and high is not None:
        return f"{_plain(low)} to {_plain(high)}"
    words = {"at least": low, "above": limits.get("gt"), "at most": high, "below": limits.get("lt")}
    return " and ".join(f"{word} {_plain(limit)}" for word, limit in words.items() if limit is not None)


def _plain(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def type_name(annotation: Any) -> str:
    """A type with its range, for a table, e.g. "integer, 1 to 100", "auto | cpu" or "text or null"."""
    plain, metadata = unwrap(annotation)
    if get_origin(plain) is Literal:
        return " | ".join(str(value) for value in get_args(plain))
    if _is_union(plain):
        return " or ".join(type_name(part) for part in get_args(plain))
    if get_origin(plain) is list:
        return f"list of {type_name(get_args(plain)[0])}"
    if plain in (bool, NoneType):
        return "true | false" if plain is bool else "null"
    if forms := _forms(metadata):
        return " | ".join(forms)
    limits = bounds(metadata)
    return _TYPE_NAMES[plain] + (f", {limits}" if limits else "")


def _with_article(annotation: Any) -> str:
    """A type with its range within a sentence, e.g. "an integer from 1 to 100" or "auto, cpu or cuda"."""
    plain, metadata = unwrap(annotation)
    if is_dataclass(plain):
        return "a group of settings"
    if get_origin(plain) is dict:
        return "groups of settings by name"
    if choices := _forms(metadata) or (get_args(plain) if get_origin(plain) is Literal else ()):
        *others, last = map(str, choices)
        return f"{', '.join(others)} or {last}" if others else last
    if _is_union(plain):
        return " or ".join(_with_article(part) for part in get_args(plain))
    if get_origin(plain) is list:
        return f"a list, each entry {_with_article(get_args(plain)[0])}"
    if plain in (bool, NoneType):
        return "true or false" if plain is bool else "null"
    limits = bounds(metadata)
    link = "" if not limits or limits.startswith("above") else "of " if limits.startswith("at ") else "from "
    article = {int: "an integer", float: "a number", str: "text"}[plain]
    return f"{article} {link}{limits}".rstrip()


def _forms(metadata: list[Any]) -> tuple[str, ...]:
    """Texts of the setting's `Forms`, or none."""
    return next((each.texts for each in metadata if isinstance(each, Forms)), ())


def _is_union(plain: Any) -> bool:
    return get_origin(plain) in (Union, UnionType)
