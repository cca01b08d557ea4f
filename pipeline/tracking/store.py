"""What a spool's events become in MLflow. Everything can be sent twice and is there once."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

from pipeline.tracking.spool import LAST_RUN, SPOOL, tracking_uri

_PER_BATCH = 900  # MLflow takes 1,000 metrics and 100 params or tags a batch
_PARAMS_PER_BATCH = 100
_LONGEST_PARAM, _LONGEST_TAG = 6000, 5000
_KEY = "labelmint.key"
_THUMBNAIL_PIXELS = 256
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # which of its pages MLflow shows


class Store:
    """One MLflow, by $MLFLOW_TRACKING_URI or in the project's sqlite file. Raises: whatever MLflow's clients raise."""

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
        """The id of the run with this key, made at first need, below its parent's."""
        if key in self._runs:
            return self._runs[key]
        from pipeline.tracking.ship import locked

        experiment = self._experiment(header["experiment"])
        parent = self._parent(header)
        with locked(self.root / SPOOL / "store.lock", wait=True):
            tags = {_name(name): str(value)[:_LONGEST_TAG] for name, value in header["tags"].items()} | {
                _KEY: key,
                "mlflow.runName": header["name"],
                "mlflow.source.name": "pipeline.stage",
                **({"mlflow.parentRunId": parent} if parent else {}),
                **self._commit(),
            }
            run_id = self._find(experiment, key)
            if run_id is None:
                run_id = self.client.create_run(experiment, header["start"], tags, header["name"]).info.run_id
            else:
                self._tag(run_id, tags)
        self._runs[key] = run_id
        return run_id

    def send(self, run_id: str, folder: Path, header: dict[str, Any], events: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric, Param

        for child in dict.fromkeys(event.get("child") for event in events):
            own = [event for event in events if event.get("child") == child]
            target = run_id if child is None else self._child(run_id, folder.name, child, header)
            metrics = [
                Metric(_name(name), value, event["time"], event["step"])
                for event in own
                for name, value in event.get("metrics", {}).items()
            ]
            for at in range(0, len(metrics), _PER_BATCH):
                self.client.log_batch(target, metrics=metrics[at : at + _PER_BATCH])
        params = {name: value[:_LONGEST_PARAM] for event in events for name, value in event.get("params", {}).items()}
        tags = {name: value for event in events for name, value in event.get("tags", {}).items()}
        items = [Param(_name(name), value) for name, value in params.items()]
        for at in range(0, len(items), _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, params=items[at : at + _PARAMS_PER_BATCH])
        self._tag(run_id, tags)
        for event in events:
            if "figure" in event:
                self._image(run_id, folder / "files" / event["file"], event)
            elif "artifact" in event:
                named = folder / "files" / event["artifact"]
                if not named.exists():
                    os.link(folder / "files" / event["file"], named)
                self.client.log_artifact(run_id, str(named), event["folder"] or None)
            elif "data" in event:
                self._input(run_id, event["data"])
            elif "reused" in event:
                self._tag(run_id, self._reused(header["experiment"], event["reused"]))
        if any("figure" in event for event in events):
            self.client.set_tag(run_id, "mlflow.loggedImages", True)

    def finish(self, run_id: str, key: str, header: dict[str, Any], status: str, at: int | None) -> None:
        for child in self._children(header["experiment"], run_id, "tags.part = 'yes'"):
            self.client.set_terminated(child.info.run_id, status, at)
        self.client.set_terminated(run_id, status, at)
        if header["tags"].get("stage") == "pipeline":
            children = self._children(header["experiment"], run_id)
            told = {
                "key": key,
                "run_id": run_id,
                "experiment_id": self._experiment(header["experiment"]),
                "stages": {child.data.tags.get("stage_name", ""): child.info.run_id for child in children},
            }
            (self.root / SPOOL / LAST_RUN).write_text(json.dumps(told))

    def _parent(self, header: dict[str, Any]) -> str | None:
        """A stage may be told of before its parent; then the parent's run is made here, and found by its key later."""
        key = header["parent"]
        if not key:
            return None
        return self.run(key, {**header, "name": "pipeline", "parent": None, "tags": {"stage": "pipeline"}})

    def _child(self, run_id: str, key: str, name: str, header: dict[str, Any]) -> str:
        tags = {**header["tags"], "stage_name": f"{header['name']}/{name}", "part": "yes", "mlflow.parentRunId": run_id}
        tags["stage"] = f"{tags['stage']}.part"
        return self.run(f"{key}/{name}", {**header, "name": name, "parent": None, "tags": tags})

    def _children(self, experiment: str, run_id: str, more: str = "") -> list[Any]:
        wanted = f"tags.mlflow.parentRunId = '{run_id}'" + (f" and {more}" if more else "")
        return list(self.client.search_runs([self._experiment(experiment)], wanted, max_results=1000))

    def _find(self, experiment: str, key: str) -> str | None:
        found = self.client.search_runs([experiment], f"tags.`{_KEY}` = {_quoted(key)}", max_results=1)
        return found[0].info.run_id if found else None

    def _experiment(self, name: str) -> str:
        """Its id. Made once, under a lock, since several processes may be the first."""
        if name not in self._experiments:
            from pipeline.tracking.ship import locked

            with locked(self.root / SPOOL / "store.lock", wait=True):
                found = self.client.get_experiment_by_name(name)
                if found is not None:
                    self._experiments[name] = found.experiment_id
                else:
                    place = None if "://" in self.uri and self.uri.startswith("http") else self._artifacts()
                    self._experiments[name] = self.client.create_experiment(name, place, _KIND)
        return self._experiments[name]

    def _artifacts(self) -> str:
        """Absolute, since MLflow's own default is resolved against the current folder. Without a server, files lie here."""
        return (self.root / "mlartifacts").resolve().as_uri()

    def _commit(self) -> dict[str, str]:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True)
        return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}

    def _tag(self, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        items = [RunTag(_name(name), str(value)[:_LONGEST_TAG]) for name, value in tags.items()]
        for at in range(0, len(items), _PARAMS_PER_BATCH):
            self.client.log_batch(run_id, tags=items[at : at + _PARAMS_PER_BATCH])

    def _image(self, run_id: str, path: Path, event: dict[str, Any]) -> None:
        """As `MlflowClient.log_image` stores it for the slider over steps, but under a name that is the same when sent again."""
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

    def _input(self, run_id: str, data: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": data["source"]})
        dataset = Dataset(data["name"], data["digest"], "local", source, None, json.dumps(data["facts"]))
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", data["context"])])])

    def _reused(self, experiment: str, entries: dict[str, str]) -> dict[str, str]:
        """entries: {stage: fingerprint}. Returns: {reused.<stage>: id of the run that made it}, where that is known."""
        tags = {}
        for stage, fingerprint in entries.items():
            made = self.client.search_runs(
                [self._experiment(experiment)],
                f"tags.`{_name(f'ran.{stage}')}` = '{fingerprint}'",
                order_by=["attributes.start_time DESC"],
                max_results=1,
            )
            if made:
                own = self._children(experiment, made[0].info.run_id, f"tags.stage_name = '{stage}'")
                if own:
                    tags[f"reused.{stage}"] = own[0].info.run_id
        return tags


def _name(name: str) -> str:
    """As MLflow takes names: letters, digits and _-./ : only."""
    return re.sub(r"[^\w\-./: ]", "_", name.replace("@", "/"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "") + "'"
