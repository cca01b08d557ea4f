"""What the flow costs over plain `dvc repro`, and how much memory an idle schedule holds.

    python benchmarks/overhead.py [--repeats 1] [--tiny] [--only WAY] [--keep DIR]

Each run starts from a fresh copy of the project without results, on the default experiment or, with --tiny,
on as many stages with a few images. The ways are measured in turn: `dvc repro`; `labelmint run` without a
server; `labelmint run` with the servers of `labelmint ui`, whose start is not counted, since they keep
running. Times are from the command to its end. Then `labelmint serve` waits for a minute, and the resident
memory of its process is read. --keep leaves the copies and `overhead.json` in a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil

from tests.system.clone import Clone
from tests.system.servers import UiServers, clean_environment

LIMIT_SECONDS, LIMIT_BYTES = 30.0, 300e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1, help="runs of each way; the fastest counts")
    parser.add_argument(
        "--tiny", action="store_true", help="as many stages, with a few images and steps each"
    )
    parser.add_argument("--idle-seconds", type=float, default=60.0, help="before memory is read")
    parser.add_argument("--only", help="the only way besides dvc repro, e.g. 'with a server'")
    parser.add_argument("--keep", type=Path, help="folder for the copies, which are otherwise deleted")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"dvc repro": [], "without a server": [], "with a server": []}
    if options.only:
        seconds = {way: taken for way, taken in seconds.items() if way in ("dvc repro", options.only)}
    memory = 0
    for repeat in range(options.repeats):
        for way, taken in seconds.items():
            kept = options.keep / f"{way.replace(' ', '-')}-{repeat}" if options.keep else None
            with nullcontext(str(kept)) if kept else tempfile.TemporaryDirectory() as folder:
                clone = Clone(Path(folder), shrink=options.tiny)
                if options.tiny:
                    clone.change(percents=[40, 60, 80, 100])  # as many stages as the default has
                ui = UiServers(clone.folder) if way == "with a server" else None
                try:
                    command = ["dvc", "repro"] if way == "dvc repro" else ["labelmint", "run"]
                    taken.append(timed(clone, command))
                    print(f"{way:18} {taken[-1]:7.1f} s", flush=True)
                    if ui:
                        memory = max(memory, idle_memory(clone.folder, options.idle_seconds))
                finally:
                    if ui:
                        ui.stop()
                    wait_for_shipper(clone.folder)
    plain = min(seconds["dvc repro"])
    record = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "experiment": "tiny" if options.tiny else "default",
        "seconds": seconds,
        "overhead_seconds": {
            way: round(min(taken) - plain, 1) for way, taken in seconds.items() if way != "dvc repro"
        },
        "overhead_limit_seconds": LIMIT_SECONDS,
        "idle_schedule_megabytes": round(memory / 1e6, 1),
        "idle_schedule_limit_megabytes": LIMIT_BYTES / 1e6,
    }
    print(json.dumps(record, indent=1))
    if options.keep:
        (options.keep / "overhead.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def timed(clone: Clone, command: list[str]) -> float:
    started = time.perf_counter()
    done = clone.run(*command, timeout=7200)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


def idle_memory(root: Path, seconds: float) -> int:
    """Resident bytes of `labelmint serve` after `seconds` of waiting."""
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", "--cron", "0 2 1 1 *"]
    process = subprocess.Popen(
        command, cwd=root, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(seconds)
        own = psutil.Process(process.pid)
        return own.memory_info().rss + sum(child.memory_info().rss for child in own.children(recursive=True))
    finally:
        process.terminate()
        process.wait(60)


def wait_for_shipper(root: Path) -> None:
    """Wait for the end of tracking, which outlives the last stage and would slow the next run."""
    while any(
        "pipeline.tracking.ship" in (each.info["cmdline"] or []) and each.info["cwd"] == str(root)
        for each in psutil.process_iter(["cmdline", "cwd"])
    ):
        time.sleep(0.5)


if __name__ == "__main__":
    main()
