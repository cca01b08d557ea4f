"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from labelmint.metrics.registry import Metric
from labelmint.reporting.charts import PALETTE
from labelmint.reporting.figures import Chart
from labelmint.reporting.sanity import Doubt
from labelmint.runtime.atomic_files import parsing

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).parent
_FILTERS = {"generator": "generator", "percent": "real data, %", "seed": "seed", "source": "trained on"}


@dataclass(frozen=True)
class Page:
    """Content of the page.

    manifest: as records.data returns it, with n_test.
    split: the real images that everything was evaluated on.
    similarity: metrics of the table of similarity.
    arms: as arms.section returns them.
    run_page: URL of the records of this run; empty if there are none yet.
    """

    manifest: dict[str, Any]
    split: str
    headline: str
    doubts: list[Doubt]
    verdict: list[str]
    rows: list[dict[str, Any]]
    replicates: list[dict[str, Any]]
    similarity: list[Metric]
    accuracy: Chart
    controls: list[tuple[str, Markup]]
    sweep: Chart
    worth: Chart
    plane: Chart
    arms: list[dict[str, Any]]
    protocol: dict[str, str]
    environment: dict[str, str]
    run_page: str
    settings: dict[str, Any]

    @property
    def filters(self) -> list[tuple[str, str, list[Any]]]:
        """(column, title, values) of the columns with several values."""
        columns = [
            (name, title, list(dict.fromkeys(row[name] for row in self.rows)))
            for name, title in _FILTERS.items()
        ]
        return [column for column in columns if len(column[2]) > 1]


def render(page: Page) -> str:
    """The page as HTML. All names are escaped; only charts, style and script are inserted as they are.

    The content security policy of the page allows this one script only, and no request to any address.
    Raises: InputError that names the metrics file of an arm that cannot be shown.
    """
    environment = templates()
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    arms: list[Markup] = []
    template: Any = environment.get_template("arm.html.j2").module
    for section in page.arms:
        with parsing(section["metrics"]), _undefined_as_key_error():
            arms.append(template.arm(section, page, not arms))
    return environment.get_template("page.html.j2").render(
        page=page,
        arms=arms,
        style=stylesheet(),
        script=Markup(script),  # nosec B704
        script_digest=digest,
        settings=json.dumps(page.settings, indent=1),
    )


@lru_cache
def templates() -> Environment:
    """The templates of this package, with the filters of its numbers. Compiling them takes half a second."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, number=_number, signed=_signed, whole=lambda value: f"{value:,}"
    )
    return environment


def stylesheet() -> Markup:
    """The style of all pages with charts."""
    colours = "; ".join(f"--c{index}: light-dark({', '.join(pair)})" for index, pair in enumerate(PALETTE))
    own = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return Markup(f":root {{ {colours} }}\n{own}")  # nosec B704


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.2f}"


def _signed(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:+.2f}".replace("-", "−")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return (f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}").replace("-", "−")


@contextmanager
def _undefined_as_key_error() -> Iterator[None]:
    """Raise a variable that a template lacks as KeyError, as Python code would."""
    from jinja2 import UndefinedError

    try:
        yield
    except UndefinedError as error:
        raise KeyError(str(error)) from error
