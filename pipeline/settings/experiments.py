"""Experiments: files of changes to params.yaml, what they are about, and what came of them last.

experiments/<name>.yaml holds the settings of a full run. Two of its keys are not settings: `about`, and `quick`, changes that make
of it a run of a few minutes on two CPU cores, laid over it together with experiments/sizes/quick.yaml.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import load_json, parsing, save_bytes, save_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.settings import flat
from pipeline.settings import schema as settings
from stages.paths import Paths

_WRITTEN_BY_USE = "# Experiment: "
_QUICKLY = ", quick"
_SHOWN_ARMS = 3
_OF_DEFAULT = {
    "source": "what `make repro` runs",
    "cost": "about six minutes on two CPU cores",
}  # its file is params.yaml itself


@dataclass(frozen=True)
class Experiment:
    """title: its first line. source: where it comes from, such as "A, table 3" for report A. cost: what a full run takes.

    changes: to experiments/default.yaml. quick: further ones, for a quick run.
    """

    name: str
    title: str
    source: str
    cost: str
    changes: dict[str, Any]
    quick: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """Experiments laid one over the other, as params.yaml says in its first line."""

    names: tuple[str, ...]
    quick: bool = False

    @property
    def label(self) -> str:
        return " + ".join(self.names or ("default",)) + (_QUICKLY if self.quick else "")

    @property
    def key(self) -> str:
        """For a file's name."""
        return "+".join(self.names or ("default",)) + (".quick" if self.quick else "")

    @classmethod
    def named(cls, names: Iterable[str], quick: bool = False) -> Choice:
        """`default`, which is what all others are laid over, is no layer of its own."""
        return cls(tuple(name for name in names if name != "default"), quick)

    @classmethod
    def of(cls, text: str) -> Choice:
        """text: of params.yaml."""
        first = text.split("\n", 1)[0]
        if not first.startswith(_WRITTEN_BY_USE):
            return cls(())
        label = first.removeprefix(_WRITTEN_BY_USE)
        return cls.named(label.removesuffix(_QUICKLY).split(" + "), label.endswith(_QUICKLY))


def in_use(root: Path) -> Choice:
    """What `use` wrote into params.yaml last."""
    return Choice.of((root / settings.PARAMS_FILE).read_text())


def names(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "experiments").glob("*.yaml"))


def load(root: Path, name: str) -> Experiment:
    """Raises: InputError when there is no such experiment, or its file is no YAML or says more about it than is known."""
    known = names(root)
    if name not in known:
        raise InputError(f"no experiment '{name}'{settings.nearest(name, known)}; there are {', '.join(known)}")
    path = root / "experiments" / f"{name}.yaml"
    changes = settings.read(path)
    about, quick = changes.pop("about", _OF_DEFAULT if name == "default" else {}), changes.pop("quick", {})
    if not isinstance(about, dict) or not isinstance(quick, dict):
        raise InputError(f"{path}: `about` and `quick` must be mappings")
    if odd := set(about) - {"source", "cost"}:
        raise InputError(f"{path}: about.{min(odd)} is not known; an experiment says its source and its cost")
    title = path.read_text().split("\n", 1)[0].lstrip("# ")
    return Experiment(name, title, about.get("source", ""), about.get("cost", ""), changes, quick)


def overlays(root: Path, choice: Choice) -> list[dict[str, Any]]:
    """What is laid over experiments/default.yaml, in turn. What a data set of one's own says comes last."""
    layers: list[dict[str, Any]] = []
    for position, name in enumerate(choice.names or ("default",)):
        experiment = load(root, name)
        layers += [experiment.changes] if name != "default" else []
        if choice.quick:
            layers += [settings.read(root / "experiments" / "sizes" / "quick.yaml")] if position == 0 else []
            layers += [experiment.quick]
    return layers


def use(root: Path, choice: Choice) -> Path | None:
    """Write params.yaml with its comments.

    Returns: where settings that belong to no experiment were kept, if params.yaml held any.
    Raises: InputError when there is no such experiment or the result would not pass the schema; then nothing is written.
    """
    text = rendered(root, choice)
    where = " + ".join(str(root / "experiments" / f"{name}.yaml") for name in choice.names or ("default",))
    settings.check(settings.parse(text), where)
    target, kept = root / settings.PARAMS_FILE, None
    if target.exists() and _has_own_settings(root, target.read_text()):
        kept = target.with_suffix(".yaml.kept")
        save_bytes(kept, target.read_bytes())
    save_bytes(target, text.encode())
    return kept


def changes(root: Path, choice: Choice) -> list[str]:
    """What `use` would change in params.yaml, a line for each setting. Raises: InputError as `use` does."""
    text = rendered(root, choice)
    settings.check(settings.parse(text), f"experiments {choice.label}")
    before, after = flat(settings.read(root / settings.PARAMS_FILE)), flat(settings.parse(text))
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {json.dumps(before.get(name))} -> {json.dumps(after.get(name))}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def rendered(root: Path, choice: Choice) -> str:
    """The text of params.yaml."""
    from ruamel.yaml import YAML

    base = (root / "experiments" / "default.yaml").read_text()
    layers = overlays(root, choice)
    if not layers:
        return base
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 200
    content = yaml.load(base)
    for layer in layers:
        settings.overlay(content, layer)
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return f"{_WRITTEN_BY_USE}{choice.label}\n" + buffer.getvalue().split("\n", 1)[1]


def _has_own_settings(root: Path, text: str) -> bool:
    """Whether params.yaml holds what no experiment would bring back."""
    choice = Choice.of(text)
    return not set(choice.names) <= set(names(root)) or text != rendered(root, choice)


def record(root: Path) -> None:
    """Keep the results that reports/ holds as the last ones of the experiment that params.yaml is of."""
    text = (root / settings.PARAMS_FILE).read_text()
    if not names(root) or _has_own_settings(root, text):
        return
    choice = Choice.of(text)
    summary = load_json(Paths(root).reports / "summary.json")
    save_json(_results(root) / f"{choice.key}.json", {"date": time.strftime("%Y-%m-%d"), "arms": summary})


def last_rows(root: Path) -> list[dict[str, Any]]:
    """reports/results.csv, its numbers as numbers and None where it has no value."""
    path = Paths(root).reports / "results.csv"
    with parsing(path), path.open(newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def last_result(root: Path, choice: Choice) -> str:
    """In a few words; empty where there is none."""
    path = _results(root) / f"{choice.key}.json"
    if not path.exists():
        return ""
    content = load_json(path)
    with parsing(path):
        told = [f"{arm}: {_numbers(values)}" for arm, values in content["arms"].items()]
        more = f" and {len(told) - _SHOWN_ARMS} more arms" if len(told) > _SHOWN_ARMS else ""
        return f"{content['date']}: {'; '.join(told[:_SHOWN_ARMS])}{more}"


def _numbers(values: dict[str, Any]) -> str:
    accuracies = {name: values.get(f"accuracy_{name}") for name in ("synthetic", "real")}
    shown = [f"{name} {100 * value:.1f} %" for name, value in accuracies.items() if value is not None]
    if values.get("frechet_synthetic") is not None:
        shown.append(f"Fréchet {values['frechet_synthetic']:.2f}")
    return ", ".join(shown)


def _results(root: Path) -> Path:
    return root / ".results"


def lines(root: Path) -> list[str]:
    """All experiments, for a person: two or three lines each."""
    told = []
    for name in names(root):
        experiment = load(root, name)
        origin = "; ".join(part for part in (experiment.source, experiment.cost) if part)
        told.append(f"{name:28} {experiment.title}")
        told += [f"{'':28} {origin}"] if origin else []
        told += [
            f"{'':28} last {size}: {last}"
            for size, choice in sizes(name).items()
            if (last := last_result(root, choice))
        ]
    return told


def as_json(root: Path) -> str:
    """All experiments, for a program."""
    rows = []
    for name in names(root):
        experiment = load(root, name)
        rows.append(
            {
                "name": name,
                "title": experiment.title,
                "source": experiment.source,
                "cost": experiment.cost,
                "last_result": {size: last_result(root, choice) or None for size, choice in sizes(name).items()},
            }
        )
    return json.dumps(rows, ensure_ascii=False, indent=1)


def sizes(name: str) -> dict[str, Choice]:
    return {"full run": Choice.named([name]), "quick run": Choice.named([name], True)}
