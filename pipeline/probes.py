"""Whether a server listens and answers."""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.error
import urllib.request

_TIMEOUT_SECONDS = 2.0
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def answers(url: str, seconds: float = _TIMEOUT_SECONDS) -> bool:
    """Whether a GET of `url`, http or https, returns status 200 within `seconds`."""
    if not url.startswith(("http://", "https://")):
        return False  # urlopen would read files, too
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # nosec B310
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def bypass_proxy(*hosts: str) -> None:
    """Keep this process, and those that it starts, from using a proxy for `hosts` and the loopback interface.

    A proxy of the environment ($HTTP_PROXY) cannot reach the loopback interface of this machine. urllib,
    requests and httpx read $NO_PROXY; other addresses still go through the proxy.
    """
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    listed = [each.strip() for each in known.split(",") if each.strip()]
    value = ",".join(dict.fromkeys([*listed, *_LOOPBACK_NAMES, *hosts]))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = value


def listens(host: str, port: int) -> bool:
    """Whether a TCP connection to `host:port` is accepted."""
    try:
        with socket.create_connection((host, port), _TIMEOUT_SECONDS):
            return True
    except OSError:
        return False


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine's loopback interface."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
