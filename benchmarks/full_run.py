"""Run all stages of dvc.yaml for an experiment without DVC, and resume where the time ran out."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.settings import experiments, schema

ROOT = Path(__file__).parent.parent
_MIN_SECONDS_LEFT, _SECONDS_TO_STOP = 30, 15


def settings(name: str) -> str:
    """Text of params.yaml for an experiment."""
    return experiments.rendered(ROOT, experiments.Choice((name,)))


def run(folder: Path, text: str, deadline: float) -> dict[str, float] | None:
    """Run every stage in `folder`, except those that an earlier call finished.

    text: of params.yaml. deadline: a value of time.monotonic().
    Returns: seconds by stage, or None if time ran out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(text)
    record = folder / "done.json"
    done: dict[str, float] = json.loads(record.read_text()) if record.exists() else {}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LABELMINT_TRACKING": "off"}
    environment.setdefault("LABELMINT_MIRROR", str(ROOT / "data" / "raw"))
    for address, command in _stages(schema.load(folder / "params.yaml")):
        if address in done:
            continue
        seconds_left = deadline - time.monotonic()
        if seconds_left < _MIN_SECONDS_LEFT:
            return None
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env={**environment, "DVC_STAGE": address})
        try:
            code = process.wait(seconds_left - _SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # it saves a checkpoint, and resumes next time
            process.wait()
            return None
        if code:
            sys.exit(f"{address}: exit code {code}")
        done[address] = round(time.monotonic() - started, 1)
        record.write_text(json.dumps(done, indent=1))
    return done


def _stages(params: schema.Params) -> Iterator[tuple[str, list[str]]]:
    """DVC's names of all stages and their commands, in the order of dvc.yaml."""
    stages: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        matrix = stage.get("matrix", {})
        lists: list[list[Any]] = [getattr(params, values.strip("${}")) for values in matrix.values()]
        command = [sys.executable, *stage["cmd"].split()[1:]]
        for items in itertools.product(*lists):
            yield f"{name}@{'-'.join(map(str, items))}" if items else name, command
