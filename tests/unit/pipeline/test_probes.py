"""Which addresses go through the proxy of the environment."""

from __future__ import annotations

import os
import urllib.request

import httpx
import pytest
from requests.utils import should_bypass_proxies

from pipeline.probes import bypass_proxy


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,127.0.0.1,::1,10.0.0.7"),
        ({"NO_PROXY": "corp.example, 127.0.0.1"}, "corp.example,127.0.0.1,localhost,::1,10.0.0.7"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,localhost,127.0.0.1,::1,10.0.0.7"),
    ],
)
def test_loopback_and_own_servers_are_reached_directly(monkeypatch, before, after):
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**before, "http_proxy": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy"):  # so that the test takes back what is set
        monkeypatch.setenv(name, os.environ.get(name, ""))
    bypass_proxy("10.0.0.7")
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == after
    for host, direct in (
        ("127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.7", True),
        ("example.org", False),
    ):
        assert bool(urllib.request.proxy_bypass(host)) is direct
        assert should_bypass_proxies(f"http://{host}:80/x", None) is direct
        with httpx.Client() as client:
            transport = client._transport_for_url(httpx.URL(f"http://{host}:80/x"))
            assert (transport is client._transport) is direct
