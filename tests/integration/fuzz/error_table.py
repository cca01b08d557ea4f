"""Messages about bad input: the table from which a test runs each row, and which docs/operations.md shows.

`python -m tests.integration.fuzz.error_table` prints the docs' table.
"""

from __future__ import annotations

import re

from tests.integration.fuzz.archive_rows import ARCHIVES
from tests.integration.fuzz.image_rows import IMAGES
from tests.integration.fuzz.project_rows import COMMANDS, OUTPUTS, SETTINGS

FIRST, LAST = "<!-- written by `python -m tests.integration.fuzz.error_table` -->", "<!-- end -->"
ROWS = [*SETTINGS, *COMMANDS, *IMAGES, *ARCHIVES, *OUTPUTS]


def markdown() -> str:
    """The table between the marks of docs/operations.md."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;")

    lines = [FIRST, "", "| input | command | message | exit code |", "|---|---|---|---|"]
    lines += [
        f"| {cell(row.title)} | `{_shown(row.command)}` | {cell(row.message)} | {row.code} |" for row in ROWS
    ]
    return "\n".join([*lines, "", LAST])


def _shown(command: str) -> str:
    return re.sub("^stage ", "python -m pipeline.stage ", command)


if __name__ == "__main__":
    print(markdown())
