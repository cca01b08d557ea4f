from __future__ import annotations

import pytest

from labelmint.data.download import public


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:pass@host:5000/path", "https://***@host:5000/path"),
        ("https://token@host", "https://***@host"),
        ("https://host/a?X-Amz-Signature=abc#d", "https://host/a?***"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql+psycopg2://user:p%40ss@host/db", "postgresql+psycopg2://***@host/db"),
    ],
)
def test_addresses_are_shown_without_credentials(address, shown):
    assert public(address) == shown


def test_invalid_address_is_not_shown():
    assert "bad" not in public("http://[bad")
