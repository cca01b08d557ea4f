"""Figures and the chart of accuracies in MLflow's UI."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

from pipeline.tracking import chart

_THUMBNAIL_PIXELS = 256


def log_figure(client: Any, run_id: str, path: Path, event: dict[str, Any]) -> None:
    """Log a figure like `MlflowClient.log_image`, for MLflow's slider, but with a deterministic name."""
    from PIL import Image

    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{path.name}/{event['time']}")
    name = f"{event['figure'].replace('/', '~')}+step+{event['step']}+timestamp+{event['time']}+{unique}"
    small = Image.open(path).convert("RGB")
    small.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS))
    thumbnail = io.BytesIO()
    small.save(thumbnail, "WEBP")
    for suffix, content in ((".png", path.read_bytes()), ("+compressed.webp", thumbnail.getvalue())):
        named = path.parent / f"{name}{suffix}"
        named.write_bytes(content)
        client.log_artifact(run_id, str(named), "images")
        named.unlink()


def log_chart(client: Any, run_id: str, files: Path, dataset: str, event: dict[str, Any]) -> None:
    """Log the chart of all sources: as an image among the run's charts, and as a page.

    It is drawn here and not by a stage, which would wait for it.
    """
    if not event["accuracies"]:
        return
    path = files / "accuracy_by_percent.png"
    path.write_bytes(chart.png(event["accuracies"], dataset))
    log_figure(client, run_id, path, {"figure": "accuracy by percent", "step": 0, "time": event["time"]})
    page = path.with_suffix(".html")
    page.write_text(chart.page(event["accuracies"], dataset), encoding="utf-8")
    client.log_artifact(run_id, str(page))
