"""What the documents tell a person to type."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    """The content of each fenced block of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.S | re.M)


def commands(block: str) -> list[str]:
    """The lines of a console block that begin with a prompt, without their comments; the rest is output."""
    lines = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]


def experiments_of(document: Path) -> dict[str, str]:
    """Path -> content of the experiments that the document writes out."""
    found = [re.match(r"# (experiments/\w+\.yaml)\n(.*)", block, re.S) for block in blocks(document, "yaml")]
    return {match[1]: match[2] for match in found if match}
