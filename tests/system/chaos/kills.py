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

from tests.system.chaos.workspace import REPRO, Workspace, differences, kill

_TRIES = 5  # a run that fails so often, hit by nothing meanwhile, will not come through
ALL, ONE = "all", "one"  # as when the power fails; or a single process, which leaves the others to cope


def campaign(workspace: Workspace, wanted: dict[str, str], seconds: float, signals: list[str], rng: random.Random, say=print, target: str = "") -> dict[str, Any]:  # fmt: skip
    """wanted: the outcome of an undisturbed run, which took `seconds`. signals: to be sent, one after the other.

    Each attempt is hit after a random share of the time that a few stages take, and every second time again while it goes on all the
    same, as it does without its shipper; else it must end by itself. When a run comes through, its outcome is compared and the workspace
    cleared, until all were sent. Returns: what happened, for the record.
    """
    hits: Counter[str] = Counter()
    record: dict[str, Any] = {"runs": 0, "differing": [], "unclear": [], "stuck": [], "strays": []}
    left = signals[::-1]
    while left:
        workspace.clear()
        failed, code = 0, -1
        while code != 0:
            since, before = workspace.mark(), len(left)
            process = workspace.start(*REPRO, *([target] if target else []))
            patient = not left
            while (code := _wait(process, seconds * 10 if patient else _moment(rng, seconds))) is None:
                if patient:  # it hangs
                    record["stuck"].append(workspace.said(since)[-600:])
                    kill(workspace.processes())
                    return {**record, "hits": dict(hits)}
                name, whom = left.pop(), rng.choice([ALL, ONE])
                hits[f"{name} to {_hit(workspace, process, name, whom, rng)}"] += 1
                patient = rng.random() < 0.5 or not left
            if len(left) < before:
                record["strays"] += _settle(workspace)
                failed = 0
            elif code != 0:
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
        say(
            f"{sum(hits.values())} of {len(signals)} signals, {record['runs']} runs came through, {len(record['differing'])} differ"
        )
    return {**record, "hits": dict(sorted(hits.items()))}


def _hit(workspace: Workspace, process: subprocess.Popen[bytes], name: str, whom: str, rng: random.Random) -> str:
    """Returns: what was hit, in a word or two."""
    number, present = getattr(signal, f"SIG{name}"), workspace.processes()
    if whom == ALL or not present:
        for each in present:
            _send(each, number)
        return "all"
    victim = rng.choice(present)
    hit = role(victim)
    _send(victim, number)
    return hit


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def role(process: psutil.Process) -> str:
    try:
        line = process.cmdline()
        parent = process.parent().cmdline() if process.parent() else []
    except psutil.Error:
        return "a process that was ending"
    text = " ".join(line)
    if "pipeline.tracking.ship" in text:
        return "shipper"
    if "pipeline.stage" in line:
        stage = line[line.index("pipeline.stage") + 1]
        return f"{stage}'s worker" if "pipeline.stage" in parent else stage
    if "pipeline.stage" in text:  # in `sh -c "python -m pipeline.stage …"`, which stays where it is dash
        return "DVC's shell"
    return "dvc" if "dvc" in text else "another"


def _moment(rng: random.Random, seconds: float) -> float:
    """Few long waits and many short ones, so that start-up and every stage are hit."""
    return seconds * rng.random() ** 2 / 4 + 0.5


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Its exit code, or None where it still runs."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _settle(workspace: Workspace) -> list[str]:
    """Wait for the end of what was hit. Returns: which processes other than the shipper did not end by themselves, and were killed."""
    deadline, left = time.monotonic() + 60, []
    while time.monotonic() < deadline:
        left = [each for each in workspace.processes() if role(each) not in ("shipper", "a process that was ending")]
        if not left:
            return []
        time.sleep(0.2)
    named = [f"{role(each)}, {each.pid}" for each in left]
    kill(left)
    return named
