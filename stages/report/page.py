"""One self-contained HTML page."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.report.sheets import Sheet

_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Page:
    """What the page shows. Plots are SVG text; progress is a data URI."""

    manifest: dict[str, Any]
    verdict: list[str]
    rows: list[dict[str, Any]]
    replicates: list[dict[str, Any]]
    accuracy_plot: str
    sweep_plot: str
    real_samples: Sheet
    arms: list[dict[str, Any]]
    protocol: dict[str, str]
    settings: dict[str, Any]


def render(page: Page) -> str:
    """All names are escaped; only our own SVG goes in as it is."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["svg"] = lambda text: Markup(_own_ids(text))
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.2f}"
    environment.filters["number"] = lambda value: (
        "–" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    )
    environment.filters["signed"] = lambda share: "–" if share is None else f"{100 * share:+.2f}"
    template = environment.from_string(_TEMPLATE.read_text())
    return template.render(page=page, settings=json.dumps(page.settings, indent=1))


def _own_ids(svg: str) -> str:
    """Several plots on one page must not share ids, or one would draw with another's shapes."""
    prefix = "f" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
