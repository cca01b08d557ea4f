"""What the tests of checks share."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.doctor.finding import Finding


def only(findings: Iterator[Finding]) -> Finding:
    """The one finding of a check, which says what to do unless all is well."""
    (finding,) = findings
    assert bool(finding.fix) == (finding.state != "ok")
    return finding
