"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What one check found.

    state: "ok"; "note" for something that may stay as it is; "problem" for something that will fail. says:
    the finding in a few words. fix: what to do about it, empty for "ok".
    """

    subject: str
    state: Literal["ok", "note", "problem"]
    says: str
    fix: str = ""


def ok(subject: str, says: str) -> Finding:
    return Finding(subject, "ok", says)


def note(subject: str, says: str, fix: str) -> Finding:
    return Finding(subject, "note", says, fix)


def problem(subject: str, says: str, fix: str) -> Finding:
    return Finding(subject, "problem", says, fix)
