"""Axes of charts: their range, ticks and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MIN_TICK_DISTANCE = 0.11  # fraction of the axis


@dataclass(frozen=True)
class Axis:
    """One axis.

    ticks: their positions; empty: round numbers.
    minimum, maximum: values that the axis includes in any case.
    """

    label: str
    ticks: Sequence[float] = ()
    minimum: float | None = None
    maximum: float | None = None
    log: bool = False

    def scale(self, values: Sequence[float]) -> Scale:
        low = min([*values, *([] if self.minimum is None else [self.minimum])])
        high = max([*values, *([] if self.maximum is None else [self.maximum])])
        if self.log:
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = [10.0**power for power in powers]
            return Scale(ticks[0], ticks[-1] if len(ticks) > 1 else 10 * ticks[0], ticks, log=True)
        if self.ticks:
            margin = 0.06 * (max(self.ticks) - min(self.ticks)) or 5.0
            low, high = min(low, min(self.ticks) - margin), max(high, max(self.ticks) + margin)
            return Scale(low, high, list(self.ticks))
        ticks = round_numbers(low, high)
        return Scale(ticks[0], ticks[-1], ticks)


@dataclass(frozen=True)
class Scale:
    """Range of an axis, and the positions of its ticks."""

    low: float
    high: float
    ticks: list[float]
    log: bool = False

    def fraction(self, value: float) -> float:
        """Position of a value: 0 at the low end, 1 at the high end."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def labelled_ticks(self) -> list[float]:
        """Ticks that have room for their numbers."""
        kept: list[float] = []
        for tick in self.ticks:
            at = self.fraction(tick)
            if -1e-9 <= at <= 1 + 1e-9 and (not kept or at - self.fraction(kept[-1]) > _MIN_TICK_DISTANCE):
                kept.append(tick)
        return kept


def round_numbers(low: float, high: float) -> list[float]:
    """At most seven evenly spaced round numbers, the first at most `low` and the last at least `high`."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    steps = (part * power for part in (1, 2, 2.5, 5, 10))
    step = next(step for step in steps if high - low <= 5 * step * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(multiple * step, 12) for multiple in range(first, last + 1)]


def number(value: float) -> str:
    """Short text of a number, such as 0.5, 1,200 or 3.2 M."""
    size = abs(value)
    if size >= 1e6:
        text = f"{value / 1e6:.3g} M"
    else:
        text = f"{value:,.0f}" if size >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")
