"""Parts of messages: suggestions for misspelt names, and lists that stay short."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str], count: int = 1) -> str:
    """`"; did you mean 'NAME'?"` with at most `count` similar known names, ignoring case, or `""`."""
    by_case = {each.lower(): each for each in known}
    found = [f"'{by_case[each]}'" for each in difflib.get_close_matches(name.lower(), by_case, n=count)]
    named = " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
    return f"; did you mean {named}?" if found else ""


def shortened(names: Sequence[str], limit: int = 3) -> str:
    """`"a, b, c and 7 more"`: at most `limit` names, so that a message stays one line."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def counted(number: int, noun: str) -> str:
    """`"1 image"`, `"1,200 images"`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """`"42 s"`, `"3 min 20 s"`, `"1 h 05 min"`: rounded to seconds, from an hour on to minutes."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"
