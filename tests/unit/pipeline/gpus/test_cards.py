"""Cards that count, by device and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import platform
import sys
from types import SimpleNamespace

import pytest

from pipeline.gpus import cards
from pipeline.gpus.cards import cards_of, inherited

UUIDS = ["GPU-aaaa-0", "GPU-bbbb-1", "GPU-cccc-2"]


@pytest.fixture
def driver(monkeypatch):
    """A function: let the driver list cards with these UUIDs."""

    def lists(*uuids: str) -> None:
        monkeypatch.setattr(cards, "nvidia_gpus", lambda: [SimpleNamespace(uuid=uuid) for uuid in uuids])

    lists(*UUIDS)
    monkeypatch.setattr(sys, "platform", "linux")
    return lists


def keys(device: str, visible: str | None = None) -> list[str]:
    return [
        card.key for card in cards_of(device, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    ]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_all_cards_of_the_driver_count_by_its_numbers(driver, device):
    found = cards_of(device, {})
    assert [card.name for card in found] == ["GPU 0", "GPU 1", "GPU 2"]
    assert [card.key for card in found] == UUIDS
    assert found[1].environment == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    own = cards_of(device, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert own[1].environment["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,0", ["GPU-cccc-2", "GPU-aaaa-0"]),
        (" 1 , 0", ["GPU-bbbb-1", "GPU-aaaa-0"]),
        ("1,GPU-bbbb,0", ["GPU-bbbb-1", "GPU-aaaa-0"]),  # the same card twice
        ("MIG-12/3/0,GPU-cccc", ["MIG-12/3/0", "GPU-cccc-2"]),
        ("0,-1,1", ["GPU-aaaa-0"]),
        ("0,7,1", ["GPU-aaaa-0"]),
        ("", []),
        ("-1", []),
        ("none", []),
    ],
)
def test_only_visible_cards_count_up_to_the_first_invalid_one(driver, visible, expected):
    assert keys("auto", visible) == keys("cuda", visible) == expected


def test_entries_of_the_user_are_passed_on_as_they_are(driver):
    found = cards_of("auto", {"CUDA_VISIBLE_DEVICES": "2,MIG-12/3/0,GPU-aaaa"})
    assert [card.environment for card in found] == [
        {"CUDA_VISIBLE_DEVICES": entry} for entry in ("2", "MIG-12/3/0", "GPU-aaaa")
    ]
    assert [card.name for card in found] == ["GPU 2", "MIG-12/3/0", "GPU-aaaa"]


def test_a_numbered_device_is_one_of_the_visible_cards_and_its_stage_sees_the_same(driver):
    assert keys("cuda:2") == ["GPU-cccc-2"]
    assert keys("cuda:1", "2,0") == ["GPU-aaaa-0"]
    assert keys("cuda:3") == keys("cuda:1", "2") == []
    (card,) = cards_of("cuda:1", {})
    assert card.environment == {}


def test_without_the_drivers_library(driver):
    driver()
    assert keys("auto") == keys("auto", "0,1") == []
    assert keys("cuda") == ["cuda"]
    assert cards_of("cuda", {})[0].environment == {}
    assert keys("cuda", "0,GPU-x") == ["0", "GPU-x"]
    driver("", "")  # cards that report no UUID
    assert keys("auto") == ["0", "1"]


def test_cpu_and_mps(driver, monkeypatch):
    assert keys("cpu") == []
    assert keys("mps") == ["mps"]
    driver()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert keys("auto") == ["mps"]
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert keys("auto") == []


def test_inherited_variables(monkeypatch):
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert inherited() == {"CUDA_VISIBLE_DEVICES": "1"}
