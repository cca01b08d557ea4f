"""One self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from labelmint.reporting.figures import Chart
from labelmint.runtime.atomic_files import parsing

_FOLDER = Path(__file__).parent
_FILTERS = {"generator": "generator", "percent": "real data, %", "seed": "seed", "source": "trained on"}


@dataclass(frozen=True)
class Page:
    """What the page shows. split: the real images that all was judged by, whose number is manifest's n_test. arms: as arms.section makes them."""

    manifest: dict[str, Any]
    split: str
    headline: str
    verdict: list[str]
    rows: list[dict[str, Any]]
    replicates: list[dict[str, Any]]
    accuracy: Chart
    controls: list[tuple[str, Markup]]
    sweep: Chart
    plane: Chart
    arms: list[dict[str, Any]]
    protocol: dict[str, str]
    environment: dict[str, str]
    settings: dict[str, Any]

    @property
    def filters(self) -> list[tuple[str, str, list[Any]]]:
        """(name of the column, its title, its values) of what can be picked: of columns that have several values."""
        columns = [(name, title, list(dict.fromkeys(row[name] for row in self.rows))) for name, title in _FILTERS.items()]  # fmt: skip
        return [column for column in columns if len(column[2]) > 1]


def render(page: Page) -> str:
    """All names are escaped; only charts of our own, the style and the script go in as they are.

    The page's own policy lets a browser run this one script and ask no address for anything. Raises: InputError that names the
    metrics of an arm which cannot be shown.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f}"
    environment.filters["number"] = lambda value: (
        "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    )
    environment.filters["signed"] = lambda share: "–" if share is None else f"{100 * share:+.2f}".replace("-", "−")
    environment.filters["whole"] = lambda value: f"{value:,}"
    style, script = ((_FOLDER / name).read_text() for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    arms: list[Markup] = []
    for section in page.arms:
        with parsing(section["metrics"]), _defined():
            arms.append(environment.get_template("arm.html.j2").module.arm(section, page, not arms))
    return environment.get_template("page.html.j2").render(
        page=page,
        arms=arms,
        style=Markup(style),  # nosec B704
        script=Markup(script),  # nosec B704
        script_digest=digest,
        settings=json.dumps(page.settings, indent=1),
    )


@contextmanager
def _defined() -> Iterator[None]:
    """What a template misses, as the error of Python that it would be there."""
    from jinja2 import UndefinedError

    try:
        yield
    except UndefinedError as error:
        raise KeyError(str(error)) from error
