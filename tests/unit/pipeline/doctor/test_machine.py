from __future__ import annotations

import shutil
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from pipeline.doctor import machine
from tests.unit.pipeline.doctor.findings import only


class TestPython:
    def test_another_environment_is_noted(self, root):
        assert only(machine.python(root)).state == "note"

    def test_old_version_is_a_problem(self, root, monkeypatch):
        monkeypatch.setattr(sys, "version_info", (3, 10, 4))
        found = only(machine.python(root))
        assert found.state == "problem"
        assert found.says == "3.10.4 is older than 3.11"


class TestPackages:
    def test_locked_versions_are_ok(self, root):
        numpy = f"numpy=={metadata.version('numpy')} \\\n    --hash=sha256:00\n"
        lock = numpy + "appnope==1.0 ; sys_platform == 'never' \\\n"
        (root / "requirements.lock").write_text(lock)
        assert only(machine.packages(root)).says.startswith("1 as locked")

    def test_missing_and_other_versions_are_problems(self, root):
        (root / "requirements.lock").write_text("numpy==1.0.0 \\\nNo_Such.Thing==2 \\\n")
        found = only(machine.packages(root))
        assert found.state == "problem"
        assert found.fix.endswith("make env")
        assert "1 missing (no-such-thing)" in found.says
        assert f"numpy {metadata.version('numpy')}, locked 1.0.0" in found.says

    def test_missing_lock_is_noted(self, root):
        assert only(machine.packages(root)).fix == "git checkout requirements.lock"


@pytest.mark.parametrize(
    ("version", "state"), [("2.0.58", "ok"), ("2.1.0", "problem"), ("3.0.0b1", "problem")]
)
def test_sqlalchemy_that_prefect_cannot_schedule_with(root, monkeypatch, version, state):
    monkeypatch.setattr(metadata, "version", lambda name: {"sqlalchemy": version}[name])
    found = only(machine.schedules(root))
    assert found.state == state
    assert f"SQLAlchemy {version}" in found.says


def test_disk(root, monkeypatch):
    assert only(machine.disk(root)).says.endswith(f"GB free at {root}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2e9))
    assert only(machine.disk(root)).state == "problem"
