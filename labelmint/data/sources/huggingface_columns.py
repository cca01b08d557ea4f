"""Columns of images and labels of a Hugging Face data set, and the names of its classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.data.table_files import TableFile
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import did_you_mean

_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label", "coarse_label", "class", "target")


@dataclass(frozen=True)
class Columns:
    """Names of the two columns.

    classes: names by number; None where the data do not state them. notes: what was chosen among several.
    """

    image: str
    label: str
    classes: list[str] | None
    notes: list[str]


def find_columns(tables: list[TableFile], path: Path, label: str | None) -> Columns:
    """Find the columns by the features that `datasets` stored, else by their names and types.

    label: column chosen by the user. Raises: InputError when none or several fit.
    """
    features = [_features(table, path) for table in tables]
    image, notes = _image_column(tables[0].schema, features[0], path)
    label = _label_column(tables[0].schema, features[0], path, label)
    classes = [_class_names(own, label, path) for own in features]
    for table, names in zip(tables, classes):
        if names != classes[0]:
            raise InputError(
                f"{path}: {table.path.name} has other classes in '{label}' than {tables[0].path.name}, "
                "or another order; keep one data set per folder"
            )
    return Columns(image, label, classes[0], notes)


def _image_column(schema: Any, features: dict[str, Any], path: Path) -> tuple[str, list[str]]:
    usual = [name for name in _IMAGES if name in schema.names]
    typed = _typed(features, "Image", schema)
    found = typed or usual or [name for name in schema.names if _holds_files(schema.field(name).type)]
    named = ", ".join(schema.names)
    if not found:
        raise InputError(f"{path}: no Image column among {named}; name it 'image'")
    chosen = next((name for name in usual if name in found), found[0])
    if len(found) > 1 and chosen not in usual:
        raise InputError(f"{path}: images are in {', '.join(found)}; name the column to be used 'image'")
    kind = schema.field(chosen).type
    if not _holds_files(kind):
        raise InputError(
            f"{path}: column '{chosen}' is {kind}, expected image files; save it with datasets.Image()"
        )
    others = [name for name in found if name != chosen]
    return chosen, [f"images are those of column '{chosen}', not of {', '.join(others)}"] if others else []


def _holds_files(kind: Any) -> bool:
    """Whether cells of a type are files: bytes, or a struct that has them."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_files(field.type) for field in kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _label_column(schema: Any, features: dict[str, Any], path: Path, chosen: str | None) -> str:
    named = ", ".join(schema.names)
    if chosen is not None:
        if chosen not in schema.names:
            hint = did_you_mean(chosen, schema.names)
            raise InputError(f"{path}: dataset.label_column: no column '{chosen}' among {named}{hint}")
        return chosen
    found = [
        name for name in schema.names if name in _LABELS or name in _typed(features, "ClassLabel", schema)
    ]
    if not found:
        raise InputError(f"{path}: no ClassLabel column among {named}; set dataset.label_column")
    if len(found) > 1:
        raise InputError(
            f"{path}: {', '.join(found)} could be the labels; set dataset.label_column to one of them"
        )
    return str(found[0])


def _typed(features: dict[str, Any], kind: str, schema: Any) -> list[str]:
    """Columns that have a feature type."""
    return [
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == kind and name in schema.names
    ]


def _class_names(features: dict[str, Any], label: str, path: Path) -> list[str] | None:
    feature = features.get(label)
    names = feature.get("names") if isinstance(feature, dict) else None
    if not names:
        return None
    if not isinstance(names, list):
        raise InputError(f"{path}: the class names are not a list; save it again")
    return [str(name) for name in names]


def _features(table: TableFile, path: Path) -> dict[str, Any]:
    """Column descriptions that `datasets` wrote in the schema's metadata or in dataset_info.json, else {}."""
    stored = (table.schema.metadata or {}).get(b"huggingface")
    try:
        if stored:
            return _mapping(_mapping(_mapping(json.loads(stored)).get("info", {})).get("features", {}))
        for file in sorted(path.rglob("dataset_info.json")) if path.is_dir() else []:
            return _mapping(_mapping(json.loads(file.read_text(encoding="utf-8"))).get("features", {}))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: the column descriptions of `datasets` cannot be read ({error}); save it again"
        ) from error
    return {}


def _mapping(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"expected an object, got {type(content).__name__}")
    return content
