"""Links, and the tests of commands, in README.md, CONTRIBUTING.md and docs/."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.documented_commands import COVERED, DOCUMENTED, INSTEAD
from tests.documents import DOCUMENTS, sections


def test_no_command_is_listed_that_no_document_has():
    documented = {command for _, command in DOCUMENTED}
    assert len(documented) > 40 and not (set(COVERED) | set(INSTEAD)) - documented
    assert not set(COVERED) & set(INSTEAD)


@pytest.mark.parametrize("test", sorted(set(COVERED.values())))
def test_covering_test_exists(test):
    path, name = test.split("::")
    assert f"def {name}(" in (ROOT / path).read_text()


def test_commands_in_other_blocks_are_said_not_to_run():
    """What no test can run, such as docker's commands, is not in a console block, and its section says so."""
    silent = [
        f"{document.name}: {section.splitlines()[0]}"
        for document in DOCUMENTS
        for section in sections(document)
        if re.search(r"^```(bash|sh|shell|text)$", section, re.M)
        and not re.search(r"not (been )?run|not tested|never been", section, re.I)
    ]
    assert not silent


def test_links_between_documents_resolve():
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            file, _, anchor = target.partition("#")
            path = (document.parent / file) if file else document
            if "://" in target:
                continue
            if not path.exists():
                broken.append(f"{document.name}: {target}")
            elif anchor and path.suffix == ".md":
                titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
                if anchor not in {
                    re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles
                }:
                    broken.append(f"{document.name}: {target}")
    assert not broken
