"""Kills at random moments of `dvc repro`: whatever is hit, running again finishes, and the measures are those of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import psutil

from tests.chaos.workspace import REPRO, Workspace, differences, kill

_TRIES = 5  # a run that fails so often, hit by nothing meanwhile, will not come through
ALL, ONE = "all", "one"  # as when the power fails; or a single process, which leaves the others to cope


def campaign(workspace: Workspace, wanted: dict[str, str], seconds: float, kills: int, signals: list[str], rng: random.Random, say=print, target: str = "") -> dict[str, Any]:  # fmt: skip
    """wanted: the outcome of an undisturbed run, which took `seconds`.

    Each attempt is hit after a random share of the time that a few stages take. When a run comes through, its outcome is compared and
    the workspace cleared, until there were enough kills. Returns: what happened, for the record.
    """
    hits: Counter[str] = Counter()
    record: dict[str, Any] = {"runs": 0, "differing": [], "unclear": [], "stuck": [], "strays": 0}
    while sum(hits.values()) < kills:
        workspace.clear()
        failed = 0
        while True:
            since = workspace.mark()
            process = workspace.start(*REPRO, *([target] if target else []))
            # Few long waits and many short ones, so that start-up and every stage are hit.
            wait = seconds * rng.random() ** 2 / 2 if sum(hits.values()) < kills else seconds * 20
            try:
                code = process.wait(wait + 0.5)
            except subprocess.TimeoutExpired:
                name, whom = rng.choice(signals), rng.choice([ALL, ONE])
                hits[f"{name} to {_hit(workspace, process, name, whom, rng)}"] += 1
                record["strays"] += _settle(workspace, process, seconds)
                failed = 0
                continue
            if code == 0:
                break
            said = workspace.said(since)
            if "Traceback" in said or "error" not in said.lower():
                record["unclear"].append(said[-600:])
            failed += 1
            if failed == _TRIES:
                record["stuck"].append(said[-600:])
            if record["stuck"] or len(record["unclear"]) > 5:
                return {**record, "hits": dict(hits)}
        record["runs"] += 1
        if changed := differences(workspace.outcome(), wanted):
            record["differing"].append(changed)
        say(f"{sum(hits.values())} kills, {record['runs']} runs came through, {len(record['differing'])} differ")
    return {**record, "hits": dict(sorted(hits.items()))}


def _hit(workspace: Workspace, process: subprocess.Popen[bytes], name: str, whom: str, rng: random.Random) -> str:
    """Returns: what was hit, in a word or two."""
    number, present = getattr(signal, f"SIG{name}"), workspace.processes()
    if whom == ALL or not present:
        for each in present:
            _send(each, number)
        return "all"
    victim = rng.choice(present)
    role = _role(victim)
    _send(victim, number)
    return role


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _role(process: psutil.Process) -> str:
    try:
        line = process.cmdline()
        parent = " ".join(process.parent().cmdline()) if process.parent() else ""
    except psutil.Error:
        return "a process that was ending"
    text = " ".join(line)
    if "pipeline.tracking.ship" in text:
        return "shipper"
    if "pipeline.stage" in text:
        stage = line[line.index("pipeline.stage") + 1]
        return f"{stage}'s worker" if "pipeline.stage" in parent else stage
    return "dvc" if "dvc" in text else "another"


def _settle(workspace: Workspace, process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for the end of what was hit. Returns: processes other than the shipper that did not end by themselves, and were killed."""
    try:
        process.wait(seconds * 10)
    except subprocess.TimeoutExpired:
        kill([psutil.Process(process.pid)])
    deadline, left = time.monotonic() + 60, []
    while time.monotonic() < deadline:
        left = [each for each in workspace.processes() if _role(each) not in ("shipper", "a process that was ending")]
        if not left:
            return 0
        time.sleep(0.2)
    kill(left)
    return len(left)
