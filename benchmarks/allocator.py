"""What returning freed memory to the system costs a training step: with and without keep_freed_memory.

`python benchmarks/allocator.py [--rounds 3] [--json FILE]` trains the DCGANs of the experiments on random
images in processes of one thread, both ways in turn, and prints the median of the processor time and of the
page faults of a step.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks.cases import Row, cases, stepper, table
from labelmint.runtime.allocator import keep_freed_memory

_WARM_UP, _STEPS = 5, 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both ways (default: 3)")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    rows = [compare(name, arguments.rounds) for name in cases()]
    print(f"torch {torch.__version__}, median of {arguments.rounds} rounds in turn\n\n{table(rows)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def compare(name: str, rounds: int) -> Row:
    returned, kept = zip(*((_in_process(name, False), _in_process(name, True)) for _ in range(rounds)))
    row: Row = {"networks": name}
    for column, position in (("ms per step", 0), ("page faults per step", 1)):
        row |= {
            f"{column}, returned": median(each[position] for each in returned),
            f"{column}, kept": median(each[position] for each in kept),
        }
    return row | {"kept over returned": median(one[0] / other[0] for one, other in zip(kept, returned))}


def _in_process(name: str, keep: bool) -> tuple[float, float]:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (name, keep))


def _measure(name: str, keep: bool) -> tuple[float, float]:
    """Milliseconds of the processor, and page faults, of one step."""
    torch.set_num_threads(1)
    if keep:
        keep_freed_memory()
    family, training, shape, _ = cases()[name]
    step = stepper(family, training, shape)
    _run(step, range(_WARM_UP))
    before = resource.getrusage(resource.RUSAGE_SELF)
    _run(step, range(_WARM_UP, _WARM_UP + _STEPS))
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * seconds / _STEPS, (after.ru_minflt - before.ru_minflt) / _STEPS


def _run(step: Callable[[int], None], numbers: range) -> None:
    for number in numbers:
        step(number)


if __name__ == "__main__":
    main()
