from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose environment names no server."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


@pytest.fixture
def change(root: Path) -> Callable[..., None]:
    """A function that changes settings of a group in params.yaml."""

    def change_settings(group: str, **values: Any) -> None:
        yaml, path = YAML(), root / "params.yaml"
        content = yaml.load(path.read_text())
        content[group].update(values)
        yaml.dump(content, path)

    return change_settings
