"""The last results of every experiment, kept in .results/, and the list of experiments that shows them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import load_json, parsing, save_json
from labelmint.runtime.errors import InputError
from pipeline.dvc import lock_file
from pipeline.project import PARAMS_FILE
from pipeline.settings import experiments, schema
from pipeline.settings.experiments import Choice, Experiment
from stages.paths import Paths

_MAX_ARMS = 3  # in one line
_OWN = "This project's"
_REPORT = re.compile(r"(.+), (?:sections?|tables?) ")
"""The source of an experiment of a report: its title, and where in it."""


def record(root: Path) -> None:
    """Keep the results in reports/ as the last ones of the experiment that params.yaml comes from, if any."""
    text = schema.text_of(root / PARAMS_FILE)
    if not experiments.names(root) or experiments.has_own_settings(root, text):
        return
    summary = load_json(Paths(root).reports / "summary.json")
    arms = {name: values for name, values in summary.items() if name != "warnings"}
    save_json(_path(root, Choice.of(text)), {"date": time.strftime("%Y-%m-%d"), "arms": arms})


def is_current(root: Path) -> bool:
    """Whether the report was made with the settings of params.yaml; not so after `run --percents`."""
    content = schema.read(root / PARAMS_FILE)
    return all(content.get(name) == value for name, value in lock_file.settings(root, "report").items())


def last_result(root: Path, choice: Choice) -> str:
    """The last result in one line, or an empty string."""
    path = _path(root, choice)
    if not path.exists():
        return ""
    content = load_json(path)
    with parsing(path):
        arms = [f"{arm}: {_numbers(values)}" for arm, values in content["arms"].items()]
        more = f" and {len(arms) - _MAX_ARMS} more arms" if len(arms) > _MAX_ARMS else ""
        return f"{content['date']}: {'; '.join(arms[:_MAX_ARMS])}{more}"


def _numbers(values: dict[str, Any]) -> str:
    accuracies = {name: values.get(f"accuracy_{name}") for name in ("synthetic", "real")}
    shown = [f"{name} {100 * value:.1f} %" for name, value in accuracies.items() if value is not None]
    if values.get("frechet_synthetic") is not None:
        shown.append(f"Fréchet {values['frechet_synthetic']:.2f}")
    return ", ".join(shown)


def _path(root: Path, choice: Choice) -> Path:
    return root / ".results" / f"{choice.key}.json"


def to_text(root: Path, word: str = "") -> str:
    """The experiments, with source, cost and last results: two or more lines each.

    Those of this project come first, the default before all, then those of each report. word: as `chosen`.
    """
    groups: dict[str, list[Experiment]] = {_OWN: []}
    for experiment in chosen(root, word):
        report = _REPORT.match(experiment.source)
        groups.setdefault(report[1] if report else _OWN, []).append(experiment)
    groups[_OWN].sort(key=lambda experiment: experiment.name != "default")
    lines = []
    for heading, members in groups.items():
        lines += ["", heading] if members else []
        for experiment in members:
            lines.append(f"  {experiment.name:28} {experiment.title}")
            details = ["; ".join(part for part in (experiment.source, experiment.cost) if part)]
            found = _last_by_size(root, experiment.name)
            details += [f"last {size}: {result}" for size, result in found.items() if result]
            lines += [f"  {'':28} {detail}" for detail in details if detail]
    return "\n".join(lines[1:])


def to_json(root: Path, word: str = "") -> str:
    """The experiments, for programs."""
    rows = []
    for experiment in chosen(root, word):
        about = {"title": experiment.title, "source": experiment.source, "cost": experiment.cost}
        found = {size: text or None for size, text in _last_by_size(root, experiment.name).items()}
        rows.append({"name": experiment.name, **about, "last_result": found})
    return json.dumps(rows, ensure_ascii=False, indent=1)


def chosen(root: Path, word: str) -> list[Experiment]:
    """The experiments whose name, title or source contains `word`, whatever its case.

    Raises: InputError if there is none.
    """
    every = [experiments.load(root, name) for name in experiments.names(root)]
    found = [each for each in every if word.lower() in f"{each.name} {each.title} {each.source}".lower()]
    if not found:
        raise InputError(f"no experiment contains '{word}'; `labelmint experiments` lists all {len(every)}")
    return found


def _last_by_size(root: Path, name: str) -> dict[str, str]:
    sizes = {"full run": Choice.named([name]), "quick run": Choice.named([name], quick=True)}
    return {size: last_result(root, choice) for size, choice in sizes.items()}
