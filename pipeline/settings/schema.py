"""params.yaml: one typed schema, checked as a whole before any stage starts."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from labelmint.classifiers.settings import Classifier, FeatureNetwork
from labelmint.data.settings import Dataset
from labelmint.gans.settings import Family, Synthesis
from labelmint.metrics.settings import Metrics
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import Compute
from labelmint.training.settings import Training

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True)
class Params:
    """An arm is one generator x one share of the real training data x one replicate.

    generators: each of `families`, which has a group of settings for it. percents: shares of the real training data, whole numbers.
    seeds: replicates, each of which draws the share, the generators and the classifiers anew.
    """

    dataset: Dataset
    generators: list[str]
    percents: list[int]
    seeds: list[int]
    families: dict[str, Family]
    training: Training
    synthesis: Synthesis
    classifier: Classifier
    feature_network: FeatureNetwork
    metrics: Metrics
    compute: Compute

    def __post_init__(self) -> None:
        for name, values in (("generators", self.generators), ("percents", self.percents), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names one twice")
        if not self.percents or not self.seeds:
            raise ValueError("percents and seeds must each name at least one")
        for percent in self.percents:
            if not 1 <= percent <= 100:
                raise ValueError(
                    f"percents: {percent} is not a share of the real data; use whole numbers from 1 to 100"
                )
        if min(self.seeds) < 0:
            raise ValueError(f"seeds: {min(self.seeds)} is below 0")
        for name in self.families:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"families: '{name}' must be small letters, digits and _, beginning with a letter")
        for name in self.generators:
            if name not in self.families:
                raise ValueError(f"generators: '{name}' is not in families{nearest(name, list(self.families))}")
            self.families[name].generator.start_size(self.dataset.image_size)
            if self.dataset.multi_hot and self.families[name].labels == "per_class":
                raise ValueError(
                    f"generators: '{name}' makes one generator per class, but {len(self.dataset.attributes)} dataset.attributes make "
                    "multi-hot labels, not classes; name one attribute"
                )


def load(path: Path) -> Params:
    """Raises: InputError in one line: the file, the setting, what is wrong with it."""
    return check(read(path), str(path))


def read(path: Path) -> dict[str, Any]:
    """The file as nested dicts, unchecked. Raises: InputError when it is missing or no YAML mapping."""
    from ruamel.yaml.error import YAMLError

    try:
        content = parse(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; run in the project's folder") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested too deeply") from error
    except (YAMLError, ValueError) as error:  # such as a date in the 13th month, and what is not UTF-8
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected settings, one 'name: value' a line")
    return content


def parse(text: str) -> Any:
    """YAML as nested dicts and lists. Raises: YAMLError, ValueError, RecursionError."""
    from pipeline.settings import bounded_yaml

    return bounded_yaml.load(text)


def check(content: dict[str, Any], where: str) -> Params:
    """content: nested dicts as YAML gives them. where: named in errors."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

    adapter = TypeAdapter(with_config(ConfigDict(strict=True, extra="forbid"))(Params))
    try:
        _refuse_unknown(content, Params, where, "")
        # As JSON, since strict validation of Python values would take no mapping for a dataclass.
        return adapter.validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise InputError(f"{where}: " + "; ".join(_sentence(each) for each in error.errors()[:3])) from error
    except (TypeError, ValueError, RecursionError) as error:  # a date as a name; mappings within themselves
        raise InputError(f"{where}: cannot be read as settings: {' '.join(str(error).split())}") from error


def overlay(base: dict[str, Any], changes: dict[str, Any]) -> None:
    """Lay `changes` over `base`, in place: mappings merge, all else replaces."""
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            overlay(base[name], value)
        else:
            base[name] = value


def _refuse_unknown(content: Any, kind: Any, where: str, path: str) -> None:
    """pydantic would refuse too, but without naming the setting that was meant."""
    if not is_dataclass(kind) or not isinstance(content, dict):
        return
    hints = get_type_hints(kind)
    for name, value in content.items():
        if name not in hints:
            raise InputError(f"{where}: unknown setting '{path}{name}'{nearest(str(name), list(hints))}")
        if name == "families" and isinstance(value, dict):
            for family, settings in value.items():
                _refuse_unknown(settings, Family, where, f"{path}families.{family}.")
        else:
            _refuse_unknown(value, hints[name], where, f"{path}{name}.")
    missing = [field.name for field in fields(kind) if field.name not in content] if kind is Params else []
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")


def nearest(name: str, known: list[str]) -> str:
    """What to add to a message about a name that is not among those known."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def _sentence(error: Any) -> str:
    # Strict mode would name the branch of a union; a person knows only the setting.
    place = ".".join(
        str(part)
        for part in error["loc"]
        if not str(part).startswith(("literal[", "constrained-")) and part not in ("int", "float", "str")
    )
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = (
        ""
        if isinstance(given, (dict, list)) or error["type"] in ("value_error", "json_invalid") or is_dataclass(given)
        else f", got {given!r}"
    )
    return f"{place}: {message}{shown}" if place else f"{message}{shown}"
