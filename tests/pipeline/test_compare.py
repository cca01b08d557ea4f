"""`labelmint compare`: which runs it takes, and what it says of them."""

from __future__ import annotations

import os

import pytest

from labelmint.runtime.errors import InputError
from pipeline.cli import compare
from pipeline.tracking import ship, spool
from pipeline.tracking.spool import PARENT_RUN, open_spool, open_tracker
from pipeline.tracking.sync import sync_all
from stages.paths import Arm

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.setattr(ship, "_alive", lambda header: header["pid"] != os.getpid())
    return tmp_path


def evaluated(root, percent: int, accuracy: float, seed: int = 0, status: str = "FINISHED") -> None:
    tracker = open_tracker(root, "evaluate", Arm("dcgan", percent, seed), "digits")
    for source, value in (("real", 0.9), ("synthetic", accuracy)):
        tracker.log_metrics({f"accuracy/{source}": value, f"accuracy_low/{source}": value - 0.02, f"accuracy_high/{source}": value + 0.01})  # fmt: skip
    tracker.log_metrics({"gan_test": 0.5, "kid/synthetic": 1.5})
    tracker.close(status)


class Pipeline:
    def __init__(self, root, monkeypatch, **events: dict[str, str]):
        self.root, self.monkeypatch, self.events = root, monkeypatch, events

    def __enter__(self) -> None:
        self.tracker = open_spool(self.root, "pipeline", {"stage": "pipeline", "stage_name": "pipeline"}, "digits")
        self.monkeypatch.setenv(PARENT_RUN, self.tracker.folder.name)

    def __exit__(self, *_: object) -> None:
        self.monkeypatch.delenv(PARENT_RUN)
        for kind, content in self.events.items():
            self.tracker.write({kind: content})
        self.tracker.close("FINISHED")
        sync_all(self.root)


def told(root) -> dict[tuple, float]:
    return {
        (row["percent"], row["source"]): row["accuracy"]
        for row in compare.collect(root, "digits")
        if row["source"] == "synthetic"
    }


def test_a_pipeline_run_with_what_it_reused_and_plain_runs_after_it(root, monkeypatch):
    with pytest.raises(InputError, match="no results of digits in MLflow at sqlite:///.*labelmint sync"):
        compare.collect(root, "digits")
    with Pipeline(root, monkeypatch, tags={"ran.evaluate@dcgan-40-0": "f40"}):
        evaluated(root, 40, 0.5)
        evaluated(root, 60, 0.6)
    # Another one: 40 % is reused, 60 % is made anew, 80 % fails.
    with Pipeline(root, monkeypatch, reused={"evaluate@dcgan-40-0": "f40"}):
        evaluated(root, 60, 0.65)
        evaluated(root, 80, 0.1, status="FAILED")
    assert told(root) == {(40, "synthetic"): 0.5, (60, "synthetic"): 0.65}
    # A run of plain `dvc repro` is newer: of each arm, what was measured last.
    evaluated(root, 100, 0.7)
    evaluated(root, 40, 0.55)
    sync_all(root)
    assert told(root) == {(40, "synthetic"): 0.55, (60, "synthetic"): 0.65, (100, "synthetic"): 0.7}

    rows = compare.collect(root, "digits")
    assert rows[1]["kid"] == 1.5 and "gan_test" not in rows[1]
    lines = compare.to_text(rows).splitlines()
    assert lines[0].split() == ["generator", "real", "data", "seed", "real", "synthetic", "mixed"]
    assert "55.00 [53.00, 56.00]" in lines[1] and lines[1].endswith("–")
    compare.plot(rows, root / "plot.png", "digits")
    assert (root / "plot.png").stat().st_size > 5000
