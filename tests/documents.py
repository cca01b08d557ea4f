"""Commands and files in README.md, CONTRIBUTING.md and docs/."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    """Contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.S | re.M)


def sections(document: Path) -> list[str]:
    """The text under each heading, with it."""
    return re.split(r"^(?=#+ )", document.read_text(encoding="utf-8"), flags=re.M)


def commands(block: str) -> list[str]:
    """Lines of a console block after a prompt, without comments; the other lines are output."""
    lines = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#\s.*$", "", line).strip() for line in lines]


def experiments_of(document: Path) -> dict[str, str]:
    """Experiments that the document writes out: {path: content}."""
    found = [re.match(r"# (experiments/\w+\.yaml)\n(.*)", block, re.S) for block in blocks(document, "yaml")]
    return {match[1]: match[2] for match in found if match}
