"""One row of the table of messages about bad input. In a message, … marks what varies."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.integration.fuzz.bad_inputs import Arrange

IMPORT = "labelmint import photos --name mine"


@dataclass(frozen=True)
class Row:
    """One bad input.

    command: `labelmint` or `stage`, and arguments. code: exit code. arrange: creates the input in a project.
    """

    title: str
    command: str
    message: str
    code: int = 2
    arrange: Arrange = lambda root: None

    def matches(self, message: str) -> bool:
        return (
            re.fullmatch(".*".join(map(re.escape, self.message.split("…"))), message, re.DOTALL) is not None
        )
