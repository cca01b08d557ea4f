"""The training engine on this machine's CPU: against the ordinary script, the machine's limit, and more work.

`python benchmarks/engine.py [--json FILE] [--only naive,ceiling,scaling]` trains per-class DCGANs with the
networks of the experiments on random images, since speed does not depend on their content. It runs all ways
in turn, and prints a Markdown table of each part.

`--against CHECKOUT` compares with the engine in another checkout instead, in turn in one run, e.g. after
`git worktree add /tmp/previous 9bddbef`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
import torch

from benchmarks.cases import Row, table
from benchmarks.engine_parts.ceiling import ceiling
from benchmarks.engine_parts.previous import against_checkout
from benchmarks.engine_parts.scaling import scaling
from benchmarks.engine_parts.script import CLASSES, CORES, ROUNDS, against_script

PARTS: dict[str, Callable[[], list[Row]]] = {
    "naive": against_script,
    "ceiling": ceiling,
    "scaling": scaling,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="checkout with another engine")
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "cores": CORES,
        "load": psutil.getloadavg(),
        "command": " ".join(["python", *sys.argv]),
    }
    print(f"torch {torch.__version__}, {CORES} cores, load {results['load'][0]:.1f}")
    if arguments.against:
        results["previous"] = against_checkout(arguments.against.resolve())
        print(f"\nagainst {arguments.against}\n\n{table(results['previous'])}", flush=True)
    else:
        print(f"{CLASSES} classes, median of {ROUNDS} rounds in turn")
        for part in arguments.only.split(","):
            results[part] = PARTS[part]()
            print(f"\n{part}\n\n{table(results[part])}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
