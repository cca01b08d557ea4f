"""In every Python process whose PYTHONPATH has this folder, connections to other machines are recorded.

Each attempt is a line in the file $LABELMINT_TEST_WATCH.
"""

import os
import sys

_EVENTS = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
_LOCAL = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


def _watch(event, arguments):
    if event not in _EVENTS:
        return
    target = arguments[0] if event.startswith("socket.get") else arguments[1]
    if isinstance(target, tuple):
        target = target[0]
    elif event in ("socket.connect", "socket.sendto"):
        return  # a Unix socket
    target = target.decode() if isinstance(target, bytes) else target or ""
    if not target or target == os.uname().nodename or target.startswith(_LOCAL):
        return
    with open(os.environ["LABELMINT_TEST_WATCH"], "a", encoding="utf-8") as file:
        file.write(f"{event} {target} {sys.argv[:4]}\n")


if "LABELMINT_TEST_WATCH" in os.environ:
    sys.addaudithook(_watch)
