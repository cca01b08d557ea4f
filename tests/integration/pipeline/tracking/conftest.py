"""A project without a shipper, for the tests of what arrives in MLflow."""

from __future__ import annotations

import os
import shutil

import pytest

from pipeline.tracking import ship, spool


@pytest.fixture
def root(tmp_path, tables, monkeypatch):
    """A project whose spools are shipped only when a test does so, and whose stages have ended."""
    shutil.copy(tables, tmp_path)
    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.setattr(ship, "_is_alive", lambda header: header["pid"] != os.getpid())
    return tmp_path
