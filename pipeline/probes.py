"""Whether a server listens and answers."""

from __future__ import annotations

import ipaddress
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 2.0


def answers(url: str, seconds: float = _TIMEOUT_SECONDS) -> bool:
    """Whether a GET of `url`, http or https, returns status 200 within `seconds`."""
    if not url.startswith(("http://", "https://")):
        return False  # urlopen would read files, too
    try:
        # A proxy of the environment cannot reach the loopback interface of this machine.
        handlers = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
        with urllib.request.build_opener(*handlers).open(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


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
