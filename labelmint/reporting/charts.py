"""Charts as SVG: drawn in the page's own colours, so that they follow light and dark; the same bytes for the same numbers.

Points carry their numbers, which page.js shows on hover and by arrow keys. Without it a chart stands as it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup, escape

_WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 22, 36
_PALETTE = 8
_DESCRIBED = 8
_ROW = 18
_MARKERS = {
    "circle": "M-3.2,0a3.2,3.2 0 1,0 6.4,0a3.2,3.2 0 1,0 -6.4,0z",
    "square": "M-2.9,-2.9h5.8v5.8h-5.8z",
    "triangle": "M0,-3.8L3.6,2.8H-3.6z",
    "diamond": "M0,-4L4,0L0,4L-4,0z",
    "cross": "M-3,-3L3,3M-3,3L3,-3",
}


@dataclass(frozen=True)
class Point:
    """low, high: ends of its interval. tip: what is said of it, besides its series; its numbers, if empty."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    tip: str = ""
    of: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """colour: a place in the palette. band: intervals as one area rather than as bars. of: what the page's filter knows it by."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    marker: str = "circle"
    dashed: bool = False
    line: bool = True
    band: bool = False
    of: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """ticks: where they must be, rather than at round numbers. least, most: what the axis shows at least."""

    label: str
    ticks: Sequence[float] = ()
    least: float | None = None
    most: float | None = None
    log: bool = False

    def scale(self, values: Sequence[float]) -> Scale:
        low = min([*values, *([] if self.least is None else [self.least])])
        high = max([*values, *([] if self.most is None else [self.most])])
        if self.log:
            ticks = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
            return Scale(ticks[0], ticks[-1] if len(ticks) > 1 else 10 * ticks[0], ticks, log=True)
        if self.ticks:
            margin = 0.06 * (max(self.ticks) - min(self.ticks)) or 5.0
            return Scale(min(low, min(self.ticks) - margin), max(high, max(self.ticks) + margin), list(self.ticks))
        ticks = round_numbers(low, high)
        return Scale(ticks[0], ticks[-1], ticks)


@dataclass(frozen=True)
class Scale:
    low: float
    high: float
    ticks: list[float]
    log: bool = False

    def share(self, value: float) -> float:
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def round_numbers(low: float, high: float) -> list[float]:
    """At most seven, evenly spaced, from at most low to at least high."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(part * power for part in (1, 2, 2.5, 5, 10) if high - low <= 5 * part * power * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def line_chart(
    title: str, x: Axis, y: Axis, series: Sequence[Series], height: int = 240, marks: Iterable[tuple[float, str]] = ()
) -> Markup:
    """marks: heights of dotted lines across, and what each says. Series whose points are not finite lose those points."""
    series = [_finite(each) for each in series]
    points = [point for each in series for point in each.points]
    if not points:
        return Markup("")
    marks = list(marks)
    across = x.scale([point.x for point in points])
    up = y.scale([value for point in points for value in (point.low, point.y, point.high) if value is not None])
    bottom = height - _BOTTOM

    def at_x(value: float) -> float:
        return _LEFT + across.share(value) * (_WIDTH - _LEFT - _RIGHT)

    def at_y(value: float) -> float:
        return bottom - up.share(value) * (bottom - _TOP)

    parts = [_text(2, 11, y.label, "start", "axis"), _text(_WIDTH - _RIGHT, height - 4, x.label, "end", "axis")]
    for tick in up.ticks:
        parts.append(_rule(_LEFT, at_y(tick), _WIDTH - _RIGHT, at_y(tick), "grid"))
        parts.append(_text(_LEFT - 5, at_y(tick) + 3.5, number(tick), "end"))
    for tick in _apart(across):
        parts.append(_rule(at_x(tick), bottom, at_x(tick), bottom + 4, "tick"))
        parts.append(_text(at_x(tick), bottom + 15, number(tick), "middle"))
    parts.append(_rule(_LEFT, bottom, _WIDTH - _RIGHT, bottom, "tick"))
    for value, words in marks:
        if up.low <= value <= up.high:
            parts.append(_rule(_LEFT, at_y(value), _WIDTH - _RIGHT, at_y(value), "mark"))
            parts.append(_text(_WIDTH - _RIGHT, at_y(value) - 3, words, "end"))
    parts += [_drawn(each, at_x, at_y) for each in series]
    return _svg(title, _described(title, series), height, parts)


def interval_chart(title: str, label: str, rows: Sequence[tuple[str, Point]], zero: float | None = None) -> Markup:
    """One row per name, its value on the x axis with its interval. zero: where a dotted line stands for no difference."""
    if not rows:
        return Markup("")
    left, height = 128, _TOP + _ROW * len(rows) + _BOTTOM
    values = [value for _, point in rows for value in (point.low, point.x, point.high) if value is not None]
    across = Axis(label).scale([*values, *([] if zero is None else [zero])])

    def at_x(value: float) -> float:
        return left + across.share(value) * (_WIDTH - left - 2 * _RIGHT)

    bottom = height - _BOTTOM
    parts = [_text(_WIDTH - _RIGHT, height - 4, label, "end", "axis")]
    for tick in _apart(across):
        parts.append(_rule(at_x(tick), _TOP - 8, at_x(tick), bottom, "grid"))
        parts.append(_text(at_x(tick), bottom + 14, number(tick), "middle"))
    if zero is not None:
        parts.append(_rule(at_x(zero), _TOP - 8, at_x(zero), bottom, "mark"))
    for place, (name, point) in enumerate(rows):
        height_here = _TOP + _ROW * place + 4
        parts.append(_text(left - 6, height_here + 3.5, name if len(name) < 24 else name[:22] + "…", "end"))
        bar = _rule(at_x(point.low), height_here, at_x(point.high), height_here, "bar") if point.low is not None else ""
        parts.append(
            f'<g class="series c{_source_colour(point)}"{_data(point.of)} data-name="{escape(name)}">'
            f"{_point(point, at_x(point.x), height_here, 'circle', bar)}</g>"
        )
    said = "; ".join(f"{name}: {_tip(point)}" for name, point in rows[: 2 * _DESCRIBED])
    return _svg(title, f"{title}. {said}.", height, parts)


def legend(series: Sequence[Series]) -> Markup:
    """What the colours and marks of a chart stand for."""
    items = "".join(
        f'<li{_data(each.of)}><svg class="c{each.colour % _PALETTE}" viewBox="-12 -6 24 12" width="24" height="12" aria-hidden="true">'
        + (f'<path class="line{" dashed" if each.dashed else ""}" d="M-12,0H12"/>' if each.line else "")
        + (f'<path class="m" d="{_MARKERS[each.marker]}"/>' if each.marker in _MARKERS else "")
        + f"</svg>{escape(each.name)}</li>"
        for each in series
    )
    return Markup('<ul class="legend">{}</ul>').format(Markup(items))  # nosec B704


def number(value: float) -> str:
    """As short as can be."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"


def _source_colour(point: Point) -> int:
    return {"real": 0, "synthetic": 1, "mixed": 2}.get(point.of.get("source", ""), 7)


def _finite(series: Series) -> Series:
    return replace(
        series, points=[point for point in series.points if math.isfinite(point.x) and math.isfinite(point.y)]
    )


def _apart(scale: Scale) -> list[float]:
    """The ticks that have room for their numbers."""
    kept: list[float] = []
    for tick in scale.ticks:
        if -1e-9 <= scale.share(tick) <= 1 + 1e-9 and (not kept or scale.share(tick) - scale.share(kept[-1]) > 0.11):
            kept.append(tick)
    return kept


def _drawn(series: Series, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> str:
    places = [(at_x(point.x), at_y(point.y)) for point in series.points]
    inner = ""
    ends = [(point, at_x(point.x)) for point in series.points if point.low is not None and point.high is not None]
    if series.band and ends:
        there = [f"{x:.1f},{at_y(point.high):.1f}" for point, x in ends]
        back = [f"{x:.1f},{at_y(point.low):.1f}" for point, x in reversed(ends)]
        inner += f'<polygon class="band" points="{" ".join(there + back)}"/>'
    if series.line:
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        inner += f'<polyline class="line{" dashed" if series.dashed else ""}" points="{drawn}"/>'
    for point, (x, y) in zip(series.points, places):
        bar = ""
        if point.low is not None and point.high is not None and not series.band:
            low, high = at_y(point.low), at_y(point.high)
            bar = f'<path class="bar" d="M{x:.1f},{low:.1f}V{high:.1f}m-3,0h6M{x - 3:.1f},{low:.1f}h6"/>'
        inner += _point(point, x, y, series.marker, bar)
    colour = series.colour % _PALETTE
    return f'<g class="series c{colour}"{_data(series.of)} data-name="{escape(series.name)}">{inner}</g>'


def _point(point: Point, x: float, y: float, marker: str, bar: str = "") -> str:
    shape = (
        f'<path class="m" transform="translate({x:.1f} {y:.1f})" d="{_MARKERS[marker]}"/>' if marker in _MARKERS else ""
    )
    return f'<g class="pt" data-x="{x:.1f}" data-y="{y:.1f}" data-tip="{escape(_tip(point))}"{_data(point.of)}>{bar}{shape}</g>'


def _tip(point: Point) -> str:
    if point.tip:
        return point.tip
    spread = f" ({number(point.low)} to {number(point.high)})" if point.low is not None else ""
    return f"{number(point.y)}{spread} at {number(point.x)}"


def _described(title: str, series: Sequence[Series]) -> str:
    """For those who do not see it."""
    told = [
        f"{each.name}: {_tip(each.points[0])}" + (f", to {_tip(each.points[-1])}" if len(each.points) > 1 else "")
        for each in series[:_DESCRIBED]
        if each.points
    ]
    more = f"; and {len(series) - _DESCRIBED} more" if len(series) > _DESCRIBED else ""
    return f"{title}. {'; '.join(told)}{more}."


def _svg(title: str, description: str, height: int, parts: Iterable[str]) -> Markup:
    """parts: SVG, in which every name is escaped."""
    drawn = Markup("".join(parts))  # nosec B704
    frame = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}" data-title="{}">{}</svg>')
    return frame.format(_WIDTH, height, description, title, drawn)


def _data(of: dict[str, str]) -> str:
    return "".join(f' data-{name}="{escape(value)}"' for name, value in of.items())


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _rule(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x:.1f},{y:.1f}L{to_x:.1f},{to_y:.1f}"/>'
