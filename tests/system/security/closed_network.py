"""`unshare --net python -m tests.system.security.closed_network FOLDER`: the watched run without a network.

Every route leads to a device of this process, which answers nothing. So every packet that would leave the
machine is seen, whichever program or library has sent it, including requests for names.

Prints JSON: {"output": output of the commands, "sent": destinations of packets}.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import socket
import struct
import sys
import threading
from pathlib import Path

from tests.system.security.watched_run import WatchedRun

# Constants of linux/sockios.h, if.h, if_tun.h and route.h.
_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _TUNSETIFF = (
    0x890B,
    0x8914,
    0x8916,
    0x891C,
    0x400454CA,
)
_IFF_UP, _IFF_TUN, _IFF_NO_PI, _RTF_UP, _RTF_GATEWAY = 0x1, 0x1, 0x1000, 0x1, 0x2
# Addresses of the networks for examples, RFC 5737.
_OWN, _GATEWAY, PROBE = "192.0.2.1", "192.0.2.2", "198.51.100.1"


class Sink:
    """The only route out of this network namespace. sent: addresses that packets were sent to."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._device, _TUNSETIFF, _request(b"sink", struct.pack("H", _IFF_TUN | _IFF_NO_PI)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFADDR, _request(b"sink", _address(_OWN)))
            fcntl.ioctl(control, _SIOCSIFNETMASK, _request(b"sink", _address("255.255.255.0")))
            for name in (b"lo", b"sink"):
                fcntl.ioctl(control, _SIOCSIFFLAGS, _request(name, struct.pack("H", _IFF_UP)))
            default, gateway, flags = _address("0.0.0.0"), _address(_GATEWAY), _RTF_UP | _RTF_GATEWAY
            route = struct.pack("L16s16s16sH", 0, default, gateway, default, flags)
            fcntl.ioctl(control, _SIOCADDRT, route.ljust(120, b"\0"))
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while packet := os.read(self._device, 65536):
            if packet[0] >> 4 == 4:  # the system itself sends greetings by IPv6
                self.sent.append(str(ipaddress.IPv4Address(packet[16:20])))


def _request(name: bytes, content: bytes) -> bytes:
    return struct.pack("16s24s", name, content)


def _address(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def main(folder: Path) -> None:
    sink = Sink()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # must be seen
        probe.sendto(b"", (PROBE, 9))
    run = WatchedRun(folder)
    run.ui.stop()
    print(json.dumps({"output": run.output, "sent": sink.sent}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
