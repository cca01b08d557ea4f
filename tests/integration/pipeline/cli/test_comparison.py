"""`labelmint compare`: the runs it takes from MLflow, and what it prints of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labelmint.runtime.errors import InputError
from pipeline.cli import comparison
from pipeline.tracking import ship, spool
from pipeline.tracking.spool import PARENT_RUN, open_spool, open_tracker
from pipeline.tracking.sync import sync_all
from stages.paths import Arm


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.setattr(ship, "_is_alive", lambda header: header["pid"] != os.getpid())
    return tmp_path


def evaluate(root: Path, percent: int, accuracy: float, status: str = "FINISHED") -> None:
    """Record what the stage evaluate records."""
    tracker = open_tracker(root, "evaluate", Arm("dcgan", percent, 0), "digits")
    for source, value in (("real", 0.9), ("synthetic", accuracy)):
        bounds = {f"accuracy_low/{source}": value - 0.02, f"accuracy_high/{source}": value + 0.01}
        tracker.log_metrics({f"accuracy/{source}": value, **bounds})
    tracker.log_metrics({"gan_test": 0.5, "kid/synthetic": 1.5})
    tracker.close(status)


@contextmanager
def pipeline_run(root: Path, monkeypatch: pytest.MonkeyPatch, **events: dict[str, str]) -> Iterator[None]:
    """The run of a flow, whose stages run within the block. events: written to its record at its end."""
    tracker = open_spool(root, "pipeline", {"stage": "pipeline", "stage_name": "pipeline"}, "digits")
    assert tracker.folder is not None
    with monkeypatch.context() as patch:
        patch.setenv(PARENT_RUN, tracker.folder.name)
        yield
    for kind, content in events.items():
        tracker.write({kind: content})
    tracker.close("FINISHED")
    sync_all(root)


def synthetic(root: Path) -> dict[int, float]:
    """Accuracies with synthetic images by percent, as `compare` reads them."""
    rows = comparison.collect(root, "digits")
    return {row["percent"]: row["accuracy"] for row in rows if row["source"] == "synthetic"}


def test_takes_the_latest_pipeline_run_with_what_it_reused_or_plain_runs_after_it(root, monkeypatch):
    with pytest.raises(InputError, match="no results of digits in MLflow at sqlite:///.*labelmint sync"):
        comparison.collect(root, "digits")
    with pipeline_run(root, monkeypatch, tags={"ran.evaluate@dcgan-40-0": "f40"}):
        evaluate(root, 40, 0.5)
        evaluate(root, 60, 0.6)
    # Another run reuses 40 %, repeats 60 %, and fails at 80 %.
    with pipeline_run(root, monkeypatch, reused={"evaluate@dcgan-40-0": "f40"}):
        evaluate(root, 60, 0.65)
        evaluate(root, 80, 0.1, status="FAILED")
    assert synthetic(root) == {40: 0.5, 60: 0.65}
    # Runs of plain `dvc repro` are newer: the latest of every arm.
    evaluate(root, 100, 0.7)
    evaluate(root, 40, 0.55)
    sync_all(root)
    assert synthetic(root) == {40: 0.55, 60: 0.65, 100: 0.7}

    rows = comparison.collect(root, "digits")
    assert rows[1]["kid"] == 1.5
    assert "gan_test" not in rows[1]
    lines = comparison.to_text(rows).splitlines()
    assert lines[0].split() == ["generator", "real", "data", "seed", "real", "synthetic", "mixed"]
    assert "55.00 [53.00, 56.00]" in lines[1]
    assert lines[1].endswith("–")
    comparison.plot(rows, root / "plot.png", "digits")
    assert (root / "plot.png").stat().st_size > 5000
