"""Log records of every kind, and read the runs that MLflow has."""

from __future__ import annotations

from PIL import Image

from pipeline.tracking.address import tracking_uri
from pipeline.tracking.spool import SpoolTracker


def log_everything(tracker: SpoolTracker, root) -> None:
    """Log records of every kind."""
    tracker.log_params({"training.epochs": 8})
    for step in (1, 2, 3):
        tracker.log_metrics({"accuracy/real (all)": 1.0 / step}, step=step)
        tracker.child("class 3").log_metrics({"g_loss": 2.0 * step}, step=step)
    Image.new("L", (8, 8), 99).save(root / "grid.png")
    for step in (1, 2):
        tracker.log_figure("samples", (root / "grid.png").read_bytes(), step=step)
    (root / "training.csv").write_text("a,b\n1,2\n")
    tracker.log_file(root / "training.csv")
    (root / "manifest.json").write_text('{"train": {"sha256_16": ["00ff"]}}')
    (root / "dataset.json").write_text('{"name": "digits", "n_train": 7}')
    tracker.log_data(root / "manifest.json", "digits", "used")


def runs_of(root, experiment: str = "labelmint-digits") -> dict:
    """{name: run} of all runs in MLflow."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri(root))
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs), "a run exists twice"
    return {run.info.run_name: run for run in runs}
