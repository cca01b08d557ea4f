"""`make chaos`: kills at random times and every fault, on the whole pipeline at tiny size."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.system.chaos import faults, load, server_faults, soak
from tests.system.chaos.faults import Verdict
from tests.system.chaos.kills import campaign
from tests.system.chaos.workspace import Workspace, kill

FAULTS: dict[str, Callable[[Workspace, dict[str, str]], Verdict]] = {
    each.__name__: each
    for each in (
        faults.disk_full,
        faults.read_only,
        faults.flipped_bits,
        faults.clock_jumps,
        faults.two_at_once,
        faults.worker_death,
        faults.out_of_memory,
        server_faults.server_deaths,
        server_faults.dask_worker_death,
    )
}
_WORDS = {True: "survived", False: "NOT SURVIVED", None: "NOT TRIED"}


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    folder = Path(tempfile.mkdtemp(prefix="labelmint-chaos-"))
    # A shell's background jobs ignore SIGINT, and so would all processes that are started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # End the processes that were started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    workspace = Workspace(folder / "workspace", tuple(options.percents))
    record: dict[str, Any] = {
        "options": vars(options) | {"out": str(options.out)},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
    }
    passed, finished = True, False
    try:
        started = time.monotonic()
        if workspace.finish() != 0:
            say(f"the undisturbed run failed; see {workspace.log}")
            return 1
        seconds, expected = time.monotonic() - started, workspace.outputs()
        record |= {"undisturbed_seconds": round(seconds, 1), "compared_files": len(expected)}
        say(f"undisturbed: {seconds:.0f} s, {len(expected)} files to compare")
        for name in options.faults:
            started = time.monotonic()
            verdict = survive(name, workspace, expected)
            record.setdefault("faults", {})[name] = {
                **verdict,
                "seconds": round(time.monotonic() - started, 1),
            }
            passed &= bool(verdict["ok"]) or (verdict["ok"] is None and name in options.may_be_untried)
            say(f"{name}: {_WORDS[verdict['ok']]}")
            save(options.out, record, passed)
        signals = ["KILL"] * options.kills + ["TERM"] * options.terminations + ["INT"] * options.interrupts
        if signals:
            rng = random.Random(options.seed)
            rng.shuffle(signals)
            found = campaign(workspace, expected, seconds, signals, rng, say)
            passed &= not (found["differing"] or found["unclear"] or found["stuck"] or found["strays"])
            record["kills"] = found
            save(options.out, record, passed)
        if options.soak:
            record["soak"] = soak.runs(workspace, options.soak, say)
            passed &= record["soak"]["ok"]
            save(options.out, record, passed)
        if options.load:
            sizes = (options.images, options.callers, options.classes, options.arms)
            record["load"] = load.measure(workspace, *sizes, say)
            passed &= record["load"]["ok"]
        save(options.out, record, passed)
        finished = True
        return 0 if passed else 1
    finally:
        kill(workspace.processes())
        if passed and finished and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"kept: {folder}")


def survive(name: str, workspace: Workspace, expected: dict[str, str]) -> Verdict:
    """Try one fault.

    An error in trying it is a verdict too, so that the other faults are tried all the same.
    """
    try:
        return FAULTS[name](workspace, expected)
    except Exception as error:
        kill(workspace.processes())
        return {"ok": False, "said": f"{type(error).__name__}: {error}"}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos CHAOS=…", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="number of SIGKILLs at random times")
    parser.add_argument("--terminations", type=int, default=20, help="number of SIGTERMs")
    parser.add_argument("--interrupts", type=int, default=20, help="number of SIGINTs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times and the victims")
    parser.add_argument("--percents", nargs="+", type=int, default=[50, 100], help="an arm each")
    parser.add_argument(
        "--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS), help="faults to try"
    )
    parser.add_argument(
        "--may-be-untried",
        nargs="*",
        default=[],
        choices=list(FAULTS),
        help="faults that this system may not allow",
    )
    parser.add_argument("--soak", type=int, default=0, help="small runs in a row; 200 take half an hour")
    parser.add_argument("--load", action="store_true", help="many callers, classes, arms and images")
    parser.add_argument("--callers", type=int, default=32, help="concurrent callers of `labelmint sample`")
    parser.add_argument("--images", type=int, default=200_000, help="images to import")
    parser.add_argument("--classes", type=int, default=100, help="classes of the report")
    parser.add_argument("--arms", type=int, default=40, help="arms of the report")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/results/chaos.json"), help="file of the record"
    )
    parser.add_argument("--keep", action="store_true", help="keep the workspace, as after a failure")
    return parser.parse_args(arguments)


def save(path: Path, record: dict[str, object], passed: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**record, "passed": passed}, indent=1, default=str) + "\n", encoding="utf-8")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
