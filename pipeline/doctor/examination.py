"""All checks, and how their findings are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from pipeline.doctor import gpu, machine, project, services
from pipeline.doctor.finding import Finding, problem
from pipeline.terminal import console

Check = Callable[[Path], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    machine.python,
    machine.packages,
    machine.machine,
    machine.disk,
    gpu.gpu,
    project.params,
    project.weights,
    project.raw_data,
    services.servers,
    services.ports,
    machine.schedules,
    services.cluster,
    project.records,
    project.dvc,
)
_COLOURS = {"ok": "green", "note": "yellow", "problem": "bold red"}


def examine(root: Path) -> list[Finding]:
    """Findings of all checks of the project at `root`.

    A check that fails is a finding, and the others continue.
    """
    found = []
    for check in CHECKS:
        try:
            found += list(check(root))
        except Exception as error:
            message = " ".join(str(error).split())[:200]
            says = f"the check failed: {type(error).__name__}: {message}"
            found.append(problem(check.__name__, says, "labelmint --debug doctor"))
            if os.environ.get("LABELMINT_DEBUG"):
                raise
    return found


def show(found: list[Finding]) -> None:
    """Print a line per finding, and what to do below it.

    Colours only on a terminal, and no escape code with NO_COLOR.
    """
    from rich.text import Text

    screen = console()
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        line = Text(f"{finding.state:8}", _COLOURS[finding.state])
        screen.print(line.append(f"{finding.subject:{width}}  {finding.says}", "default"), soft_wrap=True)
        if finding.fix:
            screen.print(Text(f"{'':8}{'':{width}}  -> {finding.fix}"), soft_wrap=True)


def as_json(found: list[Finding]) -> str:
    """The findings as a JSON list of objects."""
    return json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=1)
