"""TensorBoard's event files, read back by TensorBoard's own reader."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from labelmint.runtime.errors import InputError
from pipeline.tracking import destinations, ship, spool
from pipeline.tracking.destinations.tensorboard import EventFiles
from pipeline.tracking.ship import Shipment
from pipeline.tracking.spool import SpoolTracker, open_tracker
from pipeline.tracking.spool_folder import waiting
from stages.paths import Arm

ARM = Arm("dcgan", 40, 0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project whose spools are shipped only when a test does so, and whose MLflow does not answer."""

    def connect(name: str, root: Path) -> destinations.Destination:
        if name == "mlflow":
            raise ConnectionError("nobody answers")
        return destinations.connect(name, root)

    monkeypatch.setattr(spool, "start_shipper", lambda root: None)
    monkeypatch.setattr(SpoolTracker, "_sample", lambda self: None)
    monkeypatch.setattr(ship, "connect", connect)
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


def png(level: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (6, 4), level).save(content, "PNG")
    return content.getvalue()


def started(root: Path) -> SpoolTracker:
    return open_tracker(root, "train_generators", ARM, "digits", trackers=["tensorboard"])


def log(tracker: SpoolTracker, step: int) -> None:
    tracker.log_metrics({"accuracy/real (all)": 1.0 / step}, step=step)
    tracker.child("class ../3").log_metrics({"g_loss": 2.0 * step}, step=step)
    tracker.log_figure("samples", png(10 * step), step=step)


def shipped(root: Path) -> list[str]:
    return Shipment(root).ship(waiting(root))[1]


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def test_a_stage_is_a_run_with_its_numbers_figures_and_settings(root):
    tracker = started(root)
    tracker.log_params({"training.epochs": 8})
    for step in (1, 2, 3):
        log(tracker, step)
    shipped(root)

    (run,) = (root / "tensorboard" / "labelmint-digits" / "train_generators@dcgan-40-0").iterdir()
    events = read(run)
    points = [(point.step, point.value) for point in events.Scalars("accuracy/real _all_")]
    assert points == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]  # the name is MLflow's
    pictures = events.Images("samples")
    assert [(each.step, each.width, each.height) for each in pictures] == [(1, 6, 4), (2, 6, 4), (3, 6, 4)]
    assert pictures[1].encoded_image_string == png(20)
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["generator"].string_value == "dcgan"  # the first ones of two events
    child = read(run / "class ..-3")
    assert [point.value for point in child.Scalars("g_loss")] == [2, 4, 6]
    header = json.loads((waiting(root)[0] / "run.json").read_text())
    assert child.FirstEventTimestamp() == header["start"] / 1000


def test_sending_again_or_after_a_torn_write_gives_the_same_bytes(root):
    tracker = started(root)
    log(tracker, 1)
    shipped(root)
    (spool_folder,) = waiting(root)
    files = sorted(path for path in (root / "tensorboard").rglob("events.*"))
    assert len(files) == 2
    before = [file.read_bytes() for file in files]
    log(tracker, 2)
    shipped(root)
    whole = [file.read_bytes() for file in files]
    assert all(len(new) > len(old) and new.startswith(old) for old, new in zip(before, whole))
    for file, size in zip(files, (3, len(whole[1]) - 5)):  # killed while it wrote, before the cursor moved
        os.truncate(file, size)
        (spool_folder / "shipped-tensorboard").unlink(missing_ok=True)
    shipped(root)
    shipped(root)
    assert [file.read_bytes() for file in files] == whole


def test_mlflow_and_tensorboard_do_not_wait_for_each_other(root, monkeypatch):
    tracker = started(root)
    log(tracker, 1)
    tracker.close("FINISHED")
    (folder,) = waiting(root)
    errors = shipped(root)
    assert len(errors) == 1 and errors[0].endswith("nobody answers")
    assert (folder / "finished-tensorboard").exists() and not (folder / "finished-mlflow").exists()

    class Working:
        def send(self, spool, new):
            self.metrics = [event["metrics"] for event in new if "metrics" in event]

        def finish(self, spool, status, time):
            self.status = status

    mlflow = Working()
    monkeypatch.setattr(EventFiles, "send", lambda *_: pytest.fail("TensorBoard has it already"))
    monkeypatch.setattr(ship, "connect", lambda name, root: mlflow if name == "mlflow" else EventFiles(root))
    assert Shipment(root).ship(waiting(root)) == (1, [])
    assert {"accuracy/real (all)": 1.0} in mlflow.metrics and mlflow.status == "FINISHED"
    assert waiting(root) == []


def test_no_name_leads_out_of_the_folder(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "../../outside")
    log(started(root), 1)
    shipped(root)
    assert [path.name for path in (root / "tensorboard").iterdir()] == ["-..-outside"]


def test_without_its_package_it_is_refused_before_any_stage(monkeypatch):
    destinations.check(["tensorboard"])
    monkeypatch.setattr(destinations, "find_spec", lambda name: None)
    destinations.check([])
    with pytest.raises(InputError, match="tracking.tensorboard: the package tensorboard is not installed; "):
        destinations.check(["tensorboard"])
