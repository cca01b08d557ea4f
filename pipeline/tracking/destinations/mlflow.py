"""MLflow's runs, made from the events of spools. Sending an event twice stores it once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.tracking import chart
from pipeline.tracking.address import clean_name, record_experiments, tracking_uri
from pipeline.tracking.destinations import Spool
from pipeline.tracking.models import register
from pipeline.tracking.spool import LAST_RUN, RUN_ID, SPOOL, locked

PACKAGE = "mlflow"

_METRICS_PER_BATCH = 900  # MLflow takes at most 1,000 metrics and 100 params or tags a batch
_PARAMS_PER_BATCH = 100
_MAX_PARAM_LENGTH, _MAX_TAG_LENGTH = 6000, 5000
_KEY = "labelmint.key"
_THUMBNAIL_PIXELS = 256
_EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development"
}  # selects the pages that MLflow shows


class Store:
    """One MLflow, at $MLFLOW_TRACKING_URI or in the project's sqlite file.

    Raises: whatever MLflow's client raises.
    """

    def __init__(self, root: Path):
        for name, value in (
            ("MLFLOW_DISABLE_TELEMETRY", "true"),
            ("DO_NOT_TRACK", "true"),
            ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
            ("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0"),
        ):
            os.environ.setdefault(name, value)
        os.environ.pop("MLFLOW_RUN_ID", None)  # it would make every run the same one
        from mlflow.tracking import MlflowClient

        self.root, self.uri = root, tracking_uri(root)
        self.client = MlflowClient(self.uri, self.uri)
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, str] = {}

    def run(self, key: str, header: dict[str, Any]) -> str:
        """Id of the run with this key, which is created at first use, as a child of its parent's run."""
        if key in self._runs:
            return self._runs[key]
        experiment = self._experiment(header["experiment"])
        parent = self._parent(header)
        with locked(self.root / SPOOL / "store.lock", wait=True):
            tags = {
                clean_name(name): str(value)[:_MAX_TAG_LENGTH] for name, value in header["tags"].items()
            } | {
                _KEY: key,
                "mlflow.runName": header["name"],
                "mlflow.source.name": "pipeline.stage",
                **({"mlflow.parentRunId": parent} if parent else {}),
                **self._commit(),
            }
            run_id = self._find(experiment, key)
            if run_id is None:
                run = self.client.create_run(experiment, header["start"], tags, header["name"])
                run_id = str(run.info.run_id)
            else:
                self._tag(run_id, tags)
        self._runs[key] = run_id
        ids = {"experiment_id": experiment, "run_id": run_id}
        with suppress(FileNotFoundError):  # the spool of a run that has ended is removed
            (self.root / SPOOL / key / RUN_ID).write_text(json.dumps(ids))
        return run_id

    def send(self, spool: Spool, new: list[dict[str, Any]]) -> None:
        """Send events of the spool to its run."""
        from mlflow.entities import Metric, Param

        folder, header, events = spool.folder, spool.header, new
        run_id = self.run(spool.key, header)
        for child in dict.fromkeys(event.get("child") for event in events):
            target = run_id if child is None else self._child(run_id, spool.key, child, header)
            metrics = [
                Metric(clean_name(name), value, event["time"], event["step"])
                for event in events
                if event.get("child") == child
                for name, value in event.get("metrics", {}).items()
            ]
            for start in range(0, len(metrics), _METRICS_PER_BATCH):
                self.client.log_batch(target, metrics=metrics[start : start + _METRICS_PER_BATCH])
        params = [
            Param(clean_name(name), value[:_MAX_PARAM_LENGTH])
            for name, value in {k: v for event in events for k, v in event.get("params", {}).items()}.items()
        ]
        for start in range(0, len(params), _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, params=params[start : start + _PARAMS_PER_BATCH])
        self._tag(run_id, {name: value for event in events for name, value in event.get("tags", {}).items()})
        for event in events:
            if "figure" in event:
                self._log_image(run_id, spool.file(event), event)
            elif "artifact" in event:
                named = folder / "files" / event["artifact"]
                if not named.exists():
                    os.link(spool.file(event), named)
                self.client.log_artifact(run_id, str(named), event["folder"] or None)
            elif "data" in event:
                self._log_data(run_id, event["data"])
            elif "accuracies" in event:
                self._log_chart(run_id, folder, header, event)
            elif "reused" in event:
                self._tag(run_id, self._reused(header["experiment"], event["reused"]))
        if any("figure" in event or "accuracies" in event for event in events):
            self.client.set_tag(run_id, "mlflow.loggedImages", True)

    def finish(self, spool: Spool, status: str, time: int | None) -> None:
        """Set the final status of the run and its children, and register its models."""
        header, run_id = spool.header, self.run(spool.key, spool.header)
        for child in self._children(header["experiment"], run_id, "tags.part = 'yes'"):
            self.client.set_terminated(child.info.run_id, status, time)
        self.client.set_terminated(run_id, status, time)
        if header["tags"].get("stage") == "pipeline":
            children = self._children(header["experiment"], run_id)
            last_run = {
                "key": spool.key,
                "run_id": run_id,
                "experiment_id": self._experiment(header["experiment"]),
                "stages": {child.data.tags.get("stage_name", ""): child.info.run_id for child in children},
            }
            (self.root / SPOOL / LAST_RUN).write_text(json.dumps(last_run))
        for event in spool.events:
            if "model" in event:  # last, since it takes longer than all the rest
                register(self.client, self.uri, run_id, spool.file(event), event["model"])

    def _parent(self, header: dict[str, Any]) -> str | None:
        """Id of the parent's run.

        A stage can be shipped before its parent, whose run is then created here.
        """
        key = header["parent"]
        if not key:
            return None
        return self.run(key, {**header, "name": "pipeline", "parent": None, "tags": {"stage": "pipeline"}})

    def _child(self, run_id: str, key: str, name: str, header: dict[str, Any]) -> str:
        tags = {
            **header["tags"],
            "stage_name": f"{header['name']}/{name}",
            "part": "yes",
            "mlflow.parentRunId": run_id,
        }
        tags["stage"] = f"{tags['stage']}.part"
        return self.run(f"{key}/{name}", {**header, "name": name, "parent": None, "tags": tags})

    def _children(self, experiment: str, run_id: str, more: str = "") -> list[Any]:
        query = f"tags.mlflow.parentRunId = '{run_id}'" + (f" and {more}" if more else "")
        return list(self.client.search_runs([self._experiment(experiment)], query, max_results=1000))

    def _find(self, experiment: str, key: str) -> str | None:
        found = self.client.search_runs([experiment], f"tags.`{_KEY}` = {_quoted(key)}", max_results=1)
        return found[0].info.run_id if found else None

    def _experiment(self, name: str) -> str:
        """Id of the experiment, created at first use: under a lock, since several processes may need it."""
        if name not in self._experiments:
            with locked(self.root / SPOOL / "store.lock", wait=True):
                found = self.client.get_experiment_by_name(name)
                if found is not None:
                    self._experiments[name] = found.experiment_id
                else:
                    # A server knows where its artifacts go. Without one, the path is absolute, since MLflow
                    # resolves its default against the current folder.
                    is_server = self.uri.startswith("http")
                    folder = None if is_server else (self.root / "mlartifacts").resolve().as_uri()
                    self._experiments[name] = self.client.create_experiment(name, folder, _EXPERIMENT_TAGS)
                record_experiments(self.root, self._experiments)
        return self._experiments[name]

    def _commit(self) -> dict[str, str]:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=False
        )
        return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}

    def _tag(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        items = [RunTag(clean_name(name), str(value)[:_MAX_TAG_LENGTH]) for name, value in tags.items()]
        for start in range(0, len(items), _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, tags=items[start : start + _PARAMS_PER_BATCH])

    def _log_image(self, run_id: str, path: Path, event: dict[str, Any]) -> None:
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
            self.client.log_artifact(run_id, str(named), "images")
            named.unlink()

    def _log_chart(self, run_id: str, folder: Path, header: dict[str, Any], event: dict[str, Any]) -> None:
        """Log the chart of all sources: as an image among the run's charts, and as a page.

        It is drawn here and not by a stage, which would wait for it.
        """
        if not event["accuracies"]:
            return
        path, dataset = folder / "files" / "accuracy_by_percent.png", header["tags"]["dataset"]
        path.write_bytes(chart.png(event["accuracies"], dataset))
        self._log_image(run_id, path, {"figure": "accuracy by percent", "step": 0, "time": event["time"]})
        path.with_suffix(".html").write_text(chart.page(event["accuracies"], dataset))
        self.client.log_artifact(run_id, str(path.with_suffix(".html")))

    def _log_data(self, run_id: str, data: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": data["source"]})
        dataset = Dataset(data["name"], data["digest"], "local", source, None, json.dumps(data["facts"]))
        self.client.log_inputs(
            run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", data["context"])])]
        )

    def _reused(self, experiment: str, entries: dict[str, str]) -> dict[str, str]:
        """Tags that name the runs whose results were reused.

        entries: {stage: fingerprint}. Returns: {reused.<stage>: id of the run that computed it}, where it is
        known.
        """
        tags = {}
        for stage, fingerprint in entries.items():
            pipelines = self.client.search_runs(
                [self._experiment(experiment)],
                f"tags.`{clean_name(f'ran.{stage}')}` = '{fingerprint}'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
            if pipelines:
                runs = self._children(experiment, pipelines[0].info.run_id, f"tags.stage_name = '{stage}'")
                if runs:
                    tags[f"reused.{stage}"] = runs[0].info.run_id
        return tags


connect = Store


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "") + "'"
