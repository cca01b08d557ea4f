"""`labelmint sync` beside a shipper that is at work."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.tracking import sync
from pipeline.tracking.spool_folder import SPOOL


def test_what_another_process_has_shipped_meanwhile_lets_the_rest_follow(tmp_path, monkeypatch):
    """The run of a pipeline can only be shipped after that of its stage, which another process holds."""
    for name in ("1-pipeline", "2-stage"):
        (tmp_path / SPOOL / name).mkdir(parents=True)
        (tmp_path / SPOOL / name / "run.json").write_text("{}", encoding="utf-8")

    class Shipment:
        def __init__(self, root: Path):
            self.root = root

        def ship(self, folders: list[Path]) -> tuple[int, list[str]]:
            """In the first pass the other process ends its work after this one has tried."""
            for folder in folders[-1:]:
                shutil.rmtree(folder)
            return int(len(folders) == 1), []

    monkeypatch.setattr(sync, "Shipment", Shipment)
    assert sync.sync_all(tmp_path).startswith("2 of 2 runs shipped")
    assert not list((tmp_path / SPOOL).iterdir())
