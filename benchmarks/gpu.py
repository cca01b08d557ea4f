"""The engine on a GPU: whether it is correct and how fast it is, in slices of a few minutes each.

`python benchmarks/gpu.py [--out gpu.json] [--only NAME,…] [--seconds 240] [--data FOLDER]` measures the
slices that the file of results lacks and writes it after every measurement, so that the same command resumes.
FOLDER holds the files of MNIST, and of the other data sets that are measured; the default is
$LABELMINT_MIRROR.

`--tiny` tries the command on a CPU. DVC, Prefect and MLflow need not be installed.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks.cases import ROOT
from benchmarks.gpu_slices import cifar10, classifiers, correctness, mnist, science, speed
from benchmarks.gpu_slices.bench import SEED, Bench, NotNowError, Slice
from labelmint.runtime.atomic_files import load_json, save_json

SLICES: dict[str, Slice] = {
    "correctness": correctness,
    "speed": speed,
    "classifiers": classifiers,
    "mnist": mnist,
    **science.SLICES,
    "cifar10": cifar10,
}
"""By value, the most valuable first."""


class DeviceLostError(Exception):
    """The device answers no longer: an error on a GPU can end all further work of a process on it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="file of results")
    parser.add_argument("--only", default=",".join(SLICES), help="slices, separated by commas")
    parser.add_argument("--seconds", type=float, default=240.0, help="time limit of each slice")
    parser.add_argument("--data", type=Path, help="folder with the files of data sets")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N; --tiny: cpu, unless it is given")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the command itself")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := [name for name in chosen if name not in SLICES]:
        parser.error(f"--only: no slice {', '.join(unknown)}; there are {', '.join(SLICES)}")
    if not torch.cuda.is_available() and not arguments.tiny:
        sys.exit("no GPU found; --tiny tries the command on the CPU")
    if arguments.data and not arguments.data.is_dir():
        parser.error(f"--data: {arguments.data} is not a folder")
    device = torch.device(arguments.device if torch.cuda.is_available() else "cpu")
    if device.index is not None:
        torch.cuda.set_device(device)
    mirror = os.environ.get("LABELMINT_MIRROR", "")
    data = arguments.data or (Path(mirror) if mirror and "://" not in mirror else None)
    bench = Bench(device, arguments.tiny, data, arguments.seconds)
    try:
        # What is not started yet comes before the rest of a slice that ran out of time.
        for name in sorted(chosen, key=lambda name: name in records(arguments.out)):
            measure(bench, name, arguments.out)
    except DeviceLostError as error:
        print(f"{error}; starting again", flush=True)
        os.execv(sys.executable, [sys.executable, *sys.argv])  # nosec B606
    print(f"all results are in {arguments.out}")


def records(path: Path) -> dict[str, Any]:
    """Records by slice; none if there is no file."""
    found: dict[str, Any] = load_json(path)["slices"] if path.exists() else {}
    return found


def measure(bench: Bench, name: str, path: Path) -> None:
    """Measure the items of a slice that the file lacks, until its time is up, and print one line."""
    bench.start()
    items = SLICES[name].items(bench)
    record = records(path).get(name) or facts(bench)
    if (record["card"], record["tiny"]) != (card(bench), bench.tiny):
        sys.exit(f"{path} has results of {record['card']}; name another file with --out")
    bench.results = record["results"]
    missing = [item for item in items if item not in record["results"]]
    if not missing:
        print(f"{name}: already in {path}", flush=True)
        return
    if bench.is_cuda:  # a deadlock would use up the time on the machine
        faulthandler.dump_traceback_later(2 * bench.seconds, exit=True)
    for item in missing:
        if bench.seconds_left() <= 0:
            break
        started = time.monotonic()
        try:
            record["results"][item] = finite(items[item]())
        except NotNowError as error:
            print(f"{name}, {item}: {error}", flush=True)
            continue
        except Exception as error:  # what fails here is a result too
            text = " ".join(str(error).split())[:500]
            record["results"][item] = {"error": f"{type(error).__name__}: {text}"}
        spent = time.monotonic() - started
        record["seconds"] = round(record["seconds"] + spent, 1)
        record["not_measured"] = [each for each in items if each not in record["results"]]
        record["summary"] = SLICES[name].summarize(record["results"])
        save_json(path, {"slices": records(path) | {name: record}})
        print(f"  {item}: {brief(record['results'][item])} ({spent:.1f} s)", flush=True)
        release(bench, item)
    faulthandler.cancel_dump_traceback_later()
    left = f"; {len(record['not_measured'])} not measured" if record["not_measured"] else ""
    print(f"{name}: {record['summary']['line']}{left} ({record['seconds']:.0f} s)", flush=True)


def brief(result: dict[str, Any]) -> str:
    """The numbers at the top of a result, or its error, in one line."""
    if "error" in result:
        return str(result["error"])
    numbers = {name: value for name, value in result.items() if isinstance(value, (int, float))}
    return ", ".join(f"{name} {value:.5g}" for name, value in numbers.items())


def release(bench: Bench, item: str) -> None:
    """Free the device's memory. Raises: DeviceLostError if the item has left the device unusable."""
    gc.collect()
    if not bench.is_cuda:
        return
    try:
        torch.cuda.synchronize(bench.device)
        torch.cuda.empty_cache()
    except RuntimeError as error:
        raise DeviceLostError(f"{item}: {error}") from error


def card(bench: Bench) -> str:
    return torch.cuda.get_device_name(bench.device) if bench.is_cuda else "none: CPU"


def commit() -> str | None:
    """Hash of the checkout's commit, or None outside a git repository."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def facts(bench: Bench) -> dict[str, Any]:
    """A record without results: where, when and how it is measured."""
    cuda = torch.cuda.get_device_properties(bench.device) if bench.is_cuda else None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "card": card(bench),
        "memory_gib": round(cuda.total_memory / 2**30, 1) if cuda else None,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "commit": commit(),
        "seeds": {"images": SEED, "replicas": "0, 1, 2, … in order"},
        "tiny": bench.tiny,
        "command": " ".join(["python", *sys.argv]),
        "seconds": 0.0,
        "summary": {"line": "nothing measured"},
        "not_measured": [],
        "results": {},
    }


def finite(value: Any) -> Any:
    """The same value with None in place of NaN and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
