from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor import examination, project
from pipeline.doctor.finding import Finding, note, ok


def test_failing_check_is_a_finding_and_the_others_continue(root, monkeypatch):
    def broken(_: Path) -> Iterator[Finding]:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr(examination, "CHECKS", (broken, project.params, project.records))
    found = examination.examine(root)
    assert [each.subject for each in found] == ["broken", "params.yaml", "records"]
    assert found[0].state == "problem"
    assert "ZeroDivisionError: by hand" in found[0].says


def test_colours_on_a_terminal_and_not_with_no_color(monkeypatch, capsys):
    found = [ok("disk", "76 GB free"), note("GPU", "old", "renew it")]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    examination.show(found)
    assert "\x1b[32mok" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    examination.show(found)
    out = capsys.readouterr().out
    assert "\x1b[" not in out
    assert "ok      disk  76 GB free\n" in out
    assert "-> renew it" in out
