"""Cards that stages of this machine may use, by `compute.device` and CUDA_VISIBLE_DEVICES, without torch."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labelmint.runtime.devices import nvidia_gpus

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
"""Variables by which CUDA selects and numbers the devices that a process sees."""


@dataclass(frozen=True)
class Card:
    """A GPU, or a slice of one (MIG).

    name: for messages, e.g. "GPU 1". key: its name on this machine, whatever number a process gives it.
    environment: variables with which a process sees this card only.
    """

    name: str
    key: str
    environment: Mapping[str, str]


def cards_of(device: str, environment: Mapping[str, str]) -> list[Card]:
    """Cards on which a stage may compute, in CUDA's order.

    Empty if it computes on the CPU or names a card that does not exist, which the stage itself reports.

    Args:
        device: `compute.device`.
        environment: Variables of the stage. If CUDA_VISIBLE_DEVICES is set, only its cards count.
    """
    if device == "cpu":
        return []
    if device == "mps":
        return [_apple()]
    uuids = [gpu.uuid for gpu in nvidia_gpus()]
    visible = environment.get(VISIBLE)
    if not uuids and device == "auto":
        return [_apple()] if sys.platform == "darwin" and platform.machine() == "arm64" else []
    if not uuids and visible is None:  # no driver library, e.g. ROCm: no more is known than that it is there
        return [Card("the GPU", device, {})]
    cards = _all(uuids, environment) if visible is None else _named(visible, uuids)
    if device.startswith("cuda:"):
        # The stage counts to N itself, so it must see the same cards as here.
        return [replace(card, environment={}) for card in cards[int(device[5:]) :][:1]]
    return cards


def inherited() -> dict[str, str]:
    """CUDA's variables of this process."""
    return {name: os.environ[name] for name in (VISIBLE, ORDER) if name in os.environ}


def _apple() -> Card:
    return Card("Apple's GPU", "mps", {})


def _all(uuids: list[str], environment: Mapping[str, str]) -> list[Card]:
    """All cards of the driver."""
    # The driver numbers cards by bus, CUDA by speed unless this variable says otherwise.
    order = environment.get(ORDER, "PCI_BUS_ID")
    return [
        Card(f"GPU {index}", uuid or str(index), {VISIBLE: str(index), ORDER: order})
        for index, uuid in enumerate(uuids)
    ]


def _named(visible: str, uuids: list[str]) -> list[Card]:
    """Cards of CUDA_VISIBLE_DEVICES, e.g. "0,2" or "GPU-8932f937,MIG-…", up to its first invalid entry."""
    cards: dict[str, Card] = {}
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdecimal() and (not uuids or int(entry) < len(uuids)):
            key = (uuids[int(entry)] if uuids else "") or entry
        elif entry.startswith(("GPU-", "MIG-")):
            key = next((uuid for uuid in uuids if uuid.startswith(entry)), entry)
        else:
            break  # CUDA ignores this entry and all after it
        name = f"GPU {entry}" if entry.isdecimal() else entry
        cards.setdefault(key, Card(name, key, {VISIBLE: entry}))
    return list(cards.values())
