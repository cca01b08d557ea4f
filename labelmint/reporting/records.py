"""Files that stages write beside the metrics, read as far as the page shows them.

Raises: InputError that names the file, if its content is not as expected.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from labelmint.runtime.atomic_files import load_json, parsing

_TEXT_COLUMNS = ("class", "health")
_DUPLICATE_COUNTS = (
    *("train_images_also_in_test", "repeated_within_train", "repeated_within_test"),
    *("near_test_in_training", "near_within_train"),
)
_NEAR_ACTIONS = ("count", "drop", "refuse")


def history(path: Path) -> list[dict[str, Any]]:
    """Rows of training.csv: one per class, attempt and epoch, in order."""
    with parsing(path), path.open(encoding="utf-8", newline="") as file:
        return [
            {name: value if name in _TEXT_COLUMNS else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def generator(path: Path) -> dict[str, Any]:
    """Content of architecture.json."""
    content = load_json(path)
    with parsing(path):
        trained_on = content["trained_on"]
        return {
            "classes": [str(name) for name in content["classes"]],
            "trained_on": {
                "images": int(trained_on["images"]),
                "images_sha256": str(trained_on["images_sha256"]),
            },
            "weights_sha256": str(content["weights_sha256"]),
            "published": str(content["published"]),
        }


def data(path: Path) -> dict[str, Any]:
    """Content of manifest.json, without the origin of every image."""
    content = load_json(path)
    with parsing(path):
        duplicates = content["duplicates"]
        if duplicates["near_action"] not in _NEAR_ACTIONS:
            raise ValueError(f"near_action {duplicates['near_action']}")
        channels, height, width = map(int, content["shape"])
        return {
            **{name: str(content[name]) for name in ("name", "title", "licence", "labels")},
            **{name: int(content[name]) for name in ("n_train", "n_validation")},
            "classes": [str(name) for name in content["classes"]],
            "mirror": [bool(each) for each in content["mirror"]],
            "shape": [channels, height, width],
            "notes": [str(note) for note in content["notes"]],
            "bad_images": [
                {name: str(each[name]) for name in ("image", "reason")} for each in content["bad_images"]
            ],
            "checksums": {str(name): str(value) for name, value in content["checksums"].items()},
            "duplicates": {
                **{name: int(duplicates[name]) for name in _DUPLICATE_COUNTS},
                **{name: str(duplicates[name]) for name in ("action", "near_action", "near_protocol")},
            },
        }
