"""Experiments: files of changes to experiments/default.yaml, and how they become params.yaml.

experiments/<name>.yaml holds the settings of a full run. Two of its keys are not settings: `about`, and
`quick`, further changes that, with experiments/sizes/quick.yaml, make it a run of minutes on two CPU cores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import save_bytes
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from labelmint.runtime.words import did_you_mean
from pipeline.project import PARAMS_FILE
from pipeline.settings import schema, yaml_text

_MARK = "# Experiment: "  # starts the first line of a params.yaml that `use` wrote
_QUICK = ", quick"
_EDITED = " (edited)"
_ABOUT_DEFAULT = {"source": "what `make repro` runs", "cost": "about ten minutes on two CPU cores"}


@dataclass(frozen=True)
class Experiment:
    """An experiment as its file describes it.

    title: its first line. source: its origin, e.g. "fairness internship, table 3" (see docs/reports.md).
    cost: of a full run, in words. changes: to experiments/default.yaml. quick: changes for a quick run.
    """

    name: str
    title: str
    source: str
    cost: str
    changes: dict[str, Any]
    quick: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Names of experiments that are applied in turn; none is the default."""

    names: tuple[str, ...]
    quick: bool = False

    @property
    def label(self) -> str:
        """For messages and the first line of params.yaml."""
        return " + ".join(self.names or ("default",)) + (_QUICK if self.quick else "")

    @property
    def key(self) -> str:
        """For the name of a file."""
        return "+".join(self.names or ("default",)) + (".quick" if self.quick else "")

    @classmethod
    def named(cls, names: Iterable[str], quick: bool = False) -> Choice:
        """Choice of these names, less `default`, which all others are applied to."""
        return cls(tuple(name for name in names if name != "default"), quick)

    @classmethod
    def of(cls, text: str) -> Choice:
        """Choice that wrote this text of params.yaml."""
        first = text.split("\n", 1)[0]
        if not first.startswith(_MARK):
            return cls(())
        label = first.removeprefix(_MARK)
        return cls.named(label.removesuffix(_QUICK).split(" + "), label.endswith(_QUICK))


def label_in_use(root: Path) -> str:
    """Label of the choice that params.yaml comes from; "mnist (edited)" if its settings were changed by hand.

    Comments and spacing are no changes.
    """
    choice, known = in_use(root), names(root)
    if not known:
        return choice.label
    if set(choice.names) <= set(known):
        text, original = schema.text_of(root / PARAMS_FILE), rendered(root, choice)
        if text == original or schema.read(root / PARAMS_FILE) == schema.parse(original):
            return choice.label
    return f"{choice.label}{_EDITED}"


def in_use(root: Path) -> Choice:
    """Choice that `use` last wrote into params.yaml."""
    return Choice.of(schema.text_of(root / PARAMS_FILE))


def names(root: Path) -> list[str]:
    """Names of all experiments, sorted."""
    return sorted(path.stem for path in (root / "experiments").glob("*.yaml"))


def load(root: Path, name: str) -> Experiment:
    """Read an experiment. Raises InputError if there is none of that name, or its file is malformed."""
    known = names(root)
    if name not in known:
        hint = did_you_mean(name, known, count=3)
        raise InputError(f"no experiment '{name}'{hint}; `labelmint experiments` lists all {len(known)}")
    path = root / "experiments" / f"{name}.yaml"
    changes = schema.read(path)
    try:
        json.dumps(changes, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # e.g. a cycle of aliases
        raise InputError(f"{path}: cannot be read as settings: {' '.join(str(error).split())}") from error
    about, quick = changes.pop("about", _ABOUT_DEFAULT if name == "default" else {}), changes.pop("quick", {})
    if not isinstance(about, dict) or not isinstance(quick, dict):
        raise InputError(f"{path}: `about` and `quick` must be mappings")
    if unknown := set(about) - {"source", "cost"}:
        raise InputError(f"{path}: unknown key about.{min(unknown)}; `about` takes source and cost")
    title = schema.text_of(path).split("\n", 1)[0].lstrip("# ")
    return Experiment(name, title, about.get("source", ""), about.get("cost", ""), changes, quick)


def overlays(root: Path, choice: Choice) -> list[dict[str, Any]]:
    """Changes to experiments/default.yaml, in the order they are applied."""
    layers: list[dict[str, Any]] = []
    for position, name in enumerate(choice.names or ("default",)):
        experiment = load(root, name)
        layers += [experiment.changes] if name != "default" else []
        if choice.quick:
            layers += [schema.read(root / "experiments" / "sizes" / "quick.yaml")] if position == 0 else []
            layers += [experiment.quick]
    return layers


def use(root: Path, choice: Choice | None, settings: dict[str, Any] | None = None) -> Path | None:
    """Write params.yaml with its comments.

    choice: None for params.yaml as it is. settings: nested changes to apply to it.
    Returns the file that keeps settings which no experiment would restore, if params.yaml held any and a
    choice replaces them. Raises InputError, and writes nothing, if an experiment does not exist or the result
    would not pass the schema.
    """
    text, target, kept = checked(root, choice, settings), root / PARAMS_FILE, None
    if choice and target.exists() and has_own_settings(root, schema.text_of(target)):
        kept = target.with_suffix(".yaml.kept")
        save_bytes(kept, target.read_bytes())
    save_bytes(target, text.encode())
    return kept


def changes(root: Path, choice: Choice | None, settings: dict[str, Any] | None = None) -> list[str]:
    """What `use` would change in params.yaml, a line per setting. Raises InputError as `use` does."""
    text = checked(root, choice, settings)
    before, after = flat(schema.read(root / PARAMS_FILE)), flat(schema.parse(text))
    return [
        f"{name}: {json.dumps(before.get(name))} -> {json.dumps(after.get(name))}"
        for name in [*after, *(name for name in before if name not in after)]
        if before.get(name) != after.get(name)
    ]


def checked(root: Path, choice: Choice | None, settings: dict[str, Any] | None) -> str:
    """Text of params.yaml after `use`. Raises: InputError as `use` does."""
    path = root / PARAMS_FILE
    if choice is None:
        content, where = schema.read(path), str(path)
        text = schema.text_of(path)
    else:
        text, names = rendered(root, choice), choice.names or ("default",)
        content = schema.parse(text)
        where = " + ".join(str(root / "experiments" / f"{name}.yaml") for name in names)
    schema.overlay(content, settings or {})
    schema.check(content, f"{where} with the given settings" if settings else where)
    return yaml_text.changed(text, settings) if settings else text


def rendered(root: Path, choice: Choice) -> str:
    """The text of params.yaml for a choice: experiments/default.yaml but for the values that change."""
    base = schema.text_of(root / "experiments" / "default.yaml")
    layers = overlays(root, choice)
    if not layers:
        return base
    merged: dict[str, Any] = {}
    for layer in layers:
        schema.overlay(merged, layer)
    return f"{_MARK}{choice.label}\n" + yaml_text.changed(base, merged).split("\n", 1)[1]


def has_own_settings(root: Path, text: str) -> bool:
    """Whether this text of params.yaml holds settings that no experiment would restore."""
    choice = Choice.of(text)
    return not set(choice.names) <= set(names(root)) or text != rendered(root, choice)
