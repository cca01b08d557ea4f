"""Addresses in messages, and what is not downloaded."""

from __future__ import annotations

import pytest

from labelmint.data import download
from labelmint.runtime.errors import InputError


def test_only_http_is_downloaded(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("a file of this machine")
    monkeypatch.setenv(download.MIRROR, tmp_path.as_uri())
    with pytest.raises(InputError, match="only http:// and https://"):
        download.locate(["x"], tmp_path / "raw", [])
    assert not (tmp_path / "raw" / "x").exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host.org:8000/a?sign=1#d", "https://***@host.org:8000/a?***"),
        ("https://token@host.org", "https://***@host.org"),
        ("postgresql+psycopg2://user:p%40ss@host/db", "postgresql+psycopg2://***@host/db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("http://[::1", "an invalid address"),
    ],
)
def test_public_hides_secrets(url, shown):
    assert download.public(url) == shown


def test_anonymous_removes_the_user():
    assert download.anonymous("https://me:secret@host.org/a?sign=1") == "https://host.org/a?sign=1"
