"""What the shell offers after a TAB: names that the project knows. Silent where there is no project."""

from __future__ import annotations

from labelmint.runtime.errors import InputError
from pipeline.project import project_root
from pipeline.settings import experiments as known


def experiments(incomplete: str) -> list[str]:
    try:
        return _beginning(known.names(project_root()), incomplete)
    except InputError:
        return []


def generators(incomplete: str) -> list[str]:
    """Arms whose generator lies in data/generators."""
    try:
        found = project_root().glob("data/generators/*/architecture.json")
        return _beginning(sorted(path.parent.name for path in found), incomplete)
    except InputError:
        return []


def settings(incomplete: str) -> list[str]:
    from pipeline.settings import reference

    try:
        return _beginning([each.name for each in reference.collect(project_root())], incomplete)
    except InputError:
        return []


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
