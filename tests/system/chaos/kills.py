"""Kills of `dvc repro` at random times: another run completes it, with the outputs of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from tests.system.chaos.workspace import REPRO, Workspace, differences, kill

_MAX_FAILURES = 5  # a run that fails so often without being hit will never complete
ALL, ONE = "all", "one"  # as in a power failure; or a single process, which the others must handle


def campaign(  # noqa: PLR0917
    workspace: Workspace,
    expected: dict[str, str],
    seconds: float,
    signals: list[str],
    rng: random.Random,
    say: Callable[[str], object] = print,
    target: str = "",
) -> dict[str, Any]:
    """Send `signals`, one after the other, to runs of the pipeline.

    Each attempt is hit after a random part of the time that a few stages take, and half of the time again if
    it is still running, as it is without its shipper; else it must end by itself. If a run completes, its
    outputs are compared and the workspace is cleared, until all signals are sent.

    Args:
        workspace: Where the pipeline runs.
        expected: Outputs of an undisturbed run.
        seconds: Duration of an undisturbed run.
        signals: Names such as "KILL".
        rng: Source of the times and of the processes to hit.
        say: Receives a line of progress after every completed run.
        target: Stage that the runs end with; empty: all stages.

    Returns: what happened, for the record.
    """
    hits: Counter[str] = Counter()
    record: dict[str, Any] = {"runs": 0, "differing": [], "unclear": [], "stuck": [], "strays": []}
    left = signals[::-1]
    while left:
        workspace.clear()
        failures, code = 0, -1
        while code != 0:
            start, before = workspace.log_size(), len(left)
            process = workspace.start(*REPRO, *([target] if target else []))
            must_end = not left
            while True:
                ended = _wait(process, seconds * 10 if must_end else _random_seconds(rng, seconds))
                if ended is not None:
                    code = ended
                    break
                if must_end:  # it hangs
                    record["stuck"].append(workspace.logged(start)[-600:])
                    kill(workspace.processes())
                    return {**record, "hits": dict(hits)}
                name, victims = left.pop(), rng.choice([ALL, ONE])
                hits[f"{name} to {_hit(workspace, name, victims, rng)}"] += 1
                must_end = rng.random() < 0.5 or not left
            if len(left) < before:
                record["strays"] += _wait_for_the_end(workspace)
                failures = 0
            elif code != 0:
                output = workspace.logged(start)
                if "Traceback" in output or "error" not in output.lower():
                    record["unclear"].append(output[-600:])
                failures += 1
                if failures == _MAX_FAILURES:
                    record["stuck"].append(output[-600:])
                if record["stuck"] or len(record["unclear"]) > 5:
                    return {**record, "hits": dict(hits)}
        record["runs"] += 1
        if changed := differences(workspace.outputs(), expected):
            record["differing"].append(changed)
        sent, differing = f"{sum(hits.values())} of {len(signals)} signals", len(record["differing"])
        say(f"{sent}, {record['runs']} runs completed, {differing} differ")
    return {**record, "hits": dict(sorted(hits.items()))}


def _hit(workspace: Workspace, name: str, victims: str, rng: random.Random) -> str:
    """Send a signal to all processes or to one of them. Returns: which, in a word or two."""
    number, present = getattr(signal, f"SIG{name}"), workspace.processes()
    if victims == ALL or not present:
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
    """What a process does in the pipeline, in a word or two."""
    try:
        line = process.cmdline()
        parent = process.parent()
        parent_line = parent.cmdline() if parent else []
    except psutil.Error:
        return "a process that was ending"
    text = " ".join(line)
    if "pipeline.tracking.ship" in text:
        return "shipper"
    if "pipeline.stage" in line:
        stage = line[line.index("pipeline.stage") + 1]
        return f"{stage}'s worker" if "pipeline.stage" in parent_line else stage
    if "pipeline.stage" in text:  # `sh -c "python -m pipeline.stage …"`, which remains if sh is dash
        return "DVC's shell"
    if "pipeline.reproduction" in line:
        return "make repro's command"
    return "dvc" if "dvc" in text else "another"


def _random_seconds(rng: random.Random, seconds: float) -> float:
    """A few long waits and many short ones, so that start-up and every stage are hit."""
    return seconds * rng.random() ** 2 / 4 + 0.5


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code, or None if the process still runs."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _wait_for_the_end(workspace: Workspace) -> list[str]:
    """Wait for the end of a hit run.

    Returns: the processes other than the shipper that did not end by themselves, and were killed.
    """
    deadline, left = time.monotonic() + 60, []
    while time.monotonic() < deadline:
        left = [
            each
            for each in workspace.processes()
            if role(each) not in ("shipper", "a process that was ending")
        ]
        if not left:
            return []
        time.sleep(0.2)
    names = [f"{role(each)}, {each.pid}" for each in left]
    kill(left)
    return names
