"""TensorBoard's event files: `tensorboard --logdir tensorboard`, in the project's folder.

tensorboard/<experiment>/<stage>@<arm>/<time>/ is one run of a stage, and a folder in it one of a part, such
as a class. Names of numbers are those in MLflow.
"""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError

from pipeline.tracking.address import clean_name
from pipeline.tracking.destinations import Spool

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

PACKAGE = "tensorboard"
FOLDER = "tensorboard"


class EventFiles:
    """Event files of the project in the folder `root`."""

    def __init__(self, root: Path):
        self.root = root

    def send(self, spool: Spool, new: list[dict[str, Any]]) -> None:
        """Append what the files lack.

        The events determine every byte of them: after a failed write, it is completed.
        """
        for child in dict.fromkeys(event.get("child") for event in new):
            path = self._path(spool, child)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                own = [event for event in spool.events if event.get("child") == child]
                file.write(content(spool, own)[file.tell() :])

    def finish(self, spool: Spool, status: str, time: int | None) -> None:
        return

    def answers(self) -> bool:
        return True

    def _path(self, spool: Spool, child: str | None) -> Path:
        header, seconds = spool.header, spool.header["start"] / 1000
        started = datetime.fromtimestamp(seconds).strftime("%Y-%m-%d_%H-%M-%S")
        parts = [_folder_name(name) for name in (header["experiment"], header["name"])]
        folder = self.root.joinpath(FOLDER, *parts, started, *([_folder_name(child)] if child else []))
        return folder / f"events.out.tfevents.{int(seconds)}.{header['host']}.{header['pid']}"


connect = EventFiles


def content(spool: Spool, events: list[dict[str, Any]]) -> bytes:
    """An event file with the metrics, params and figures among `events` of the spool."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    written = io.BytesIO()
    writer = RecordWriter(written)
    start = spool.header["start"] / 1000
    writer.write(Event(wall_time=start, file_version="brain.Event:2").SerializeToString(deterministic=True))
    for event in events:
        if summary := _summary(spool, event):
            record = Event(wall_time=event["time"] / 1000, step=event.get("step", 0), summary=summary)
            writer.write(record.SerializeToString(deterministic=True))
    return written.getvalue()


def _summary(spool: Spool, event: dict[str, Any]) -> Summary | None:
    """What TensorBoard shows of an event, if anything."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    if "metrics" in event:
        values = event["metrics"].items()
        return Summary(
            value=[Summary.Value(tag=clean_name(name), simple_value=each) for name, each in values]
        )
    if "params" in event:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        return hparams_pb(event["params"], spool.key, spool.header["start"] / 1000)
    if "figure" in event:
        try:
            png = spool.file(event).read_bytes()
            width, height = Image.open(io.BytesIO(png)).size
        except (FileNotFoundError, UnidentifiedImageError):  # MLflow's destination sets it aside
            return None
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        return Summary(value=[Summary.Value(tag=clean_name(event["figure"]), image=image)])
    return None


def _folder_name(name: str) -> str:
    """The name without separators of folders, and not hidden."""
    return name.replace("/", "-").lstrip(".") or "-"
