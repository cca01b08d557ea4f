"""What stages left beside the metrics, taken as far as the page shows it. A file that says other things is named."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import load_json, parsing

_WORDS = ("class", "health")
_DOUBLES = ("train_images_also_in_test", "repeated_within_train", "repeated_within_test", "near_test_in_training", "near_within_train")  # fmt: skip
_NEAR = ("count", "drop", "refuse")


def history(path: Path) -> list[dict[str, Any]]:
    """training.csv: a row per class, attempt and epoch, in order; all but the words as numbers."""
    with parsing(path), path.open(newline="") as file:
        return [{name: value if name in _WORDS else float(value) for name, value in row.items()} for row in csv.DictReader(file)]  # fmt: skip


def generator(path: Path) -> dict[str, Any]:
    """architecture.json."""
    facts = load_json(path)
    with parsing(path):
        seen = facts["trained_on"]
        return {
            "classes": [str(name) for name in facts["classes"]],
            "trained_on": {"images": int(seen["images"]), "images_sha256": str(seen["images_sha256"])},
            "weights_sha256": str(facts["weights_sha256"]),
            "published": str(facts["published"]),
        }


def data(path: Path) -> dict[str, Any]:
    """manifest.json, without where every image came from."""
    facts = load_json(path)
    with parsing(path):
        doubles = facts["duplicates"]
        if doubles["near_action"] not in _NEAR:
            raise ValueError(f"near_action {doubles['near_action']}")
        channels, height, width = map(int, facts["shape"])
        return {
            **{name: str(facts[name]) for name in ("name", "title", "licence", "labels")},
            **{name: int(facts[name]) for name in ("n_train", "n_validation")},
            "classes": [str(name) for name in facts["classes"]],
            "mirror": [bool(each) for each in facts["mirror"]],
            "shape": [channels, height, width],
            "notes": [str(note) for note in facts["notes"]],
            "bad_images": [{name: str(each[name]) for name in ("image", "reason")} for each in facts["bad_images"]],
            "checksums": {str(name): str(value) for name, value in facts["checksums"].items()},
            "duplicates": {
                **{name: int(doubles[name]) for name in _DOUBLES},
                **{name: str(doubles[name]) for name in ("action", "near_action", "near_protocol")},
            },
        }
