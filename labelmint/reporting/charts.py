"""Charts as SVG, in the page's own colours, which follow light and dark mode. Equal numbers give equal bytes.

Points carry their numbers, which page.js shows on hover and by arrow keys. Without the script, a chart is
static.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup, escape

from labelmint.reporting.axes import Axis, number

_WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 22, 36
PALETTE = (
    *(("#2f62a8", "#7fb0f0"), ("#b8501a", "#f0995f"), ("#2a7747", "#72c795"), ("#7b4fa3", "#c3a0e8")),
    *(("#16737f", "#63c5d1"), ("#b3364a", "#f08a9b"), ("#75591f", "#d3b27a"), ("#5b6675", "#a9b4c2")),
)
"""Colours of series in light and in dark mode; a series has an index modulo their number."""
_MAX_DESCRIBED = 8
_ROW_HEIGHT = 18
_MARKERS = {
    "circle": "M-3.2,0a3.2,3.2 0 1,0 6.4,0a3.2,3.2 0 1,0 -6.4,0z",
    "square": "M-2.9,-2.9h5.8v5.8h-5.8z",
    "triangle": "M0,-3.8L3.6,2.8H-3.6z",
    "diamond": "M0,-4L4,0L0,4L-4,0z",
    "cross": "M-3,-3L3,3M-3,3L3,-3",
}


@dataclass(frozen=True)
class Point:
    """One value.

    low, high: ends of its interval.
    tooltip: text beside the name of its series; empty: the point's numbers.
    data: data-* attributes, by which the page's filter selects.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    tooltip: str = ""
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """Points of one colour.

    colour: index in the palette.
    band: draw the intervals as one area instead of bars.
    data: data-* attributes, by which the page's filter selects.
    """

    name: str
    points: Sequence[Point]
    colour: int = 0
    marker: str = "circle"
    dashed: bool = False
    line: bool = True
    band: bool = False
    data: dict[str, str] = field(default_factory=dict)


def line_chart(
    title: str,
    x: Axis,
    y: Axis,
    series: Sequence[Series],
    *,
    height: int = 240,
    marks: Iterable[tuple[float, str]] = (),
) -> Markup:
    """Lines and points over two axes; empty if there is no finite point.

    marks: (y value, text) of dotted horizontal lines.
    """
    series = [_finite(each) for each in series]
    points = [point for each in series for point in each.points]
    if not points:
        return Markup("")
    x_scale = x.scale([point.x for point in points])
    y_values = [value for point in points for value in (point.low, point.y, point.high) if value is not None]
    y_scale = y.scale(y_values)
    right, bottom = _WIDTH - _RIGHT, height - _BOTTOM

    def to_x(value: float) -> float:
        return _LEFT + x_scale.fraction(value) * (_WIDTH - _LEFT - _RIGHT)

    def to_y(value: float) -> float:
        return bottom - y_scale.fraction(value) * (bottom - _TOP)

    parts = [_text(2, 11, y.label, "start", "axis"), _text(right, height - 4, x.label, "end", "axis")]
    for tick in y_scale.ticks:
        parts.append(_rule(_LEFT, to_y(tick), right, to_y(tick), "grid"))
        parts.append(_text(_LEFT - 5, to_y(tick) + 3.5, number(tick), "end"))
    for tick in x_scale.labelled_ticks():
        parts.append(_rule(to_x(tick), bottom, to_x(tick), bottom + 4, "tick"))
        parts.append(_text(to_x(tick), bottom + 15, number(tick), "middle"))
    parts.append(_rule(_LEFT, bottom, right, bottom, "tick"))
    for value, text in marks:
        if y_scale.low <= value <= y_scale.high:
            parts.append(_rule(_LEFT, to_y(value), right, to_y(value), "mark"))
            parts.append(_text(right, to_y(value) - 3, text, "end"))
    parts += [_draw(each, to_x, to_y) for each in series]
    return _svg(title, _description(title, series), height, parts)


def interval_chart(
    title: str, label: str, rows: Sequence[tuple[str, int, Point]], zero: float | None = None
) -> Markup:
    """One row per (name, colour, point): its x value with its interval; empty if there are no rows.

    zero: position of a dotted line that means no difference.
    """
    if not rows:
        return Markup("")
    left, height = 128, _TOP + _ROW_HEIGHT * len(rows) + _BOTTOM
    values = [value for *_, point in rows for value in (point.low, point.x, point.high) if value is not None]
    scale = Axis(label).scale([*values, *([] if zero is None else [zero])])

    def to_x(value: float) -> float:
        return left + scale.fraction(value) * (_WIDTH - left - 2 * _RIGHT)

    bottom = height - _BOTTOM
    parts = [_text(_WIDTH - _RIGHT, height - 4, label, "end", "axis")]
    for tick in scale.labelled_ticks():
        parts.append(_rule(to_x(tick), _TOP - 8, to_x(tick), bottom, "grid"))
        parts.append(_text(to_x(tick), bottom + 14, number(tick), "middle"))
    if zero is not None:
        parts.append(_rule(to_x(zero), _TOP - 8, to_x(zero), bottom, "mark"))
    for index, (name, colour, point) in enumerate(rows):
        y = _TOP + _ROW_HEIGHT * index + 4
        parts.append(_text(left - 6, y + 3.5, name if len(name) < 24 else name[:22] + "…", "end"))
        bar = ""
        if point.low is not None and point.high is not None:
            bar = _rule(to_x(point.low), y, to_x(point.high), y, "bar")
        drawn = _draw_point(point, to_x(point.x), y, "circle", bar)
        parts.append(_group(name, colour, point.data, drawn))
    described = "; ".join(f"{name}: {_tooltip(point)}" for name, _, point in rows[: 2 * _MAX_DESCRIBED])
    return _svg(title, f"{title}. {described}.", height, parts)


def legend(series: Sequence[Series]) -> Markup:
    """Explanation of the colours and markers of a chart."""
    items = "".join(
        f'<li{_data(each.data)}><svg class="c{each.colour % len(PALETTE)}" viewBox="-12 -6 24 12" width="24" '
        'height="12" aria-hidden="true">'
        + (f'<path class="line{" dashed" if each.dashed else ""}" d="M-12,0H12"/>' if each.line else "")
        + (f'<path class="m" d="{_MARKERS[each.marker]}"/>' if each.marker in _MARKERS else "")
        + f"</svg>{escape(each.name)}</li>"
        for each in series
    )
    return Markup('<ul class="legend">{}</ul>').format(Markup(items))  # nosec B704


def _finite(series: Series) -> Series:
    points = [point for point in series.points if math.isfinite(point.x) and math.isfinite(point.y)]
    return replace(series, points=points)


def _draw(series: Series, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> str:
    inner = ""
    ends = [
        (to_x(point.x), to_y(point.low), to_y(point.high))
        for point in series.points
        if point.low is not None and point.high is not None
    ]
    if series.band and ends:
        upper = [f"{x:.1f},{high:.1f}" for x, _, high in ends]
        lower = [f"{x:.1f},{low:.1f}" for x, low, _ in reversed(ends)]
        inner += f'<polygon class="band" points="{" ".join(upper + lower)}"/>'
    if series.line:
        points = " ".join(f"{to_x(point.x):.1f},{to_y(point.y):.1f}" for point in series.points)
        inner += f'<polyline class="line{" dashed" if series.dashed else ""}" points="{points}"/>'
    for point in series.points:
        bar, x = "", to_x(point.x)
        if point.low is not None and point.high is not None and not series.band:
            low, high = to_y(point.low), to_y(point.high)
            path = f"M{x:.1f},{low:.1f}V{high:.1f}m-3,0h6M{x - 3:.1f},{low:.1f}h6"
            bar = f'<path class="bar" d="{path}"/>'
        inner += _draw_point(point, x, to_y(point.y), series.marker, bar)
    return _group(series.name, series.colour, series.data, inner)


def _group(name: str, colour: int, data: dict[str, str], inner: str) -> str:
    return f'<g class="series c{colour % len(PALETTE)}"{_data(data)} data-name="{escape(name)}">{inner}</g>'


def _draw_point(point: Point, x: float, y: float, marker: str, bar: str) -> str:
    shape = ""
    if marker in _MARKERS:
        shape = f'<path class="m" transform="translate({x:.1f} {y:.1f})" d="{_MARKERS[marker]}"/>'
    tooltip = f'data-tip="{escape(_tooltip(point))}"'
    return f'<g class="pt" data-x="{x:.1f}" data-y="{y:.1f}" {tooltip}{_data(point.data)}>{bar}{shape}</g>'


def _tooltip(point: Point) -> str:
    if point.tooltip:
        return point.tooltip
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" ({number(point.low)} to {number(point.high)})"
    return f"{number(point.y)}{interval} at {number(point.x)}"


def _description(title: str, series: Sequence[Series]) -> str:
    """Text for screen readers."""
    described = [
        f"{each.name}: {_tooltip(each.points[0])}"
        + (f", to {_tooltip(each.points[-1])}" if len(each.points) > 1 else "")
        for each in series[:_MAX_DESCRIBED]
        if each.points
    ]
    more = f"; and {len(series) - _MAX_DESCRIBED} more" if len(series) > _MAX_DESCRIBED else ""
    return f"{title}. {'; '.join(described)}{more}."


def _svg(title: str, description: str, height: int, parts: Iterable[str]) -> Markup:
    """An SVG element. parts: markup in which every name is escaped."""
    content = Markup("".join(parts))  # nosec B704
    frame = Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}" data-title="{}">{}</svg>'
    )
    return frame.format(_WIDTH, height, description, title, content)


def _data(data: dict[str, str]) -> str:
    return "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    style = f' class="{style}"' if style else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rule(x: float, y: float, to_x: float, to_y: float, style: str) -> str:
    return f'<path class="{style}" d="M{x:.1f},{y:.1f}L{to_x:.1f},{to_y:.1f}"/>'
