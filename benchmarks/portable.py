"""What `compute.portable` costs: training with and without its limits, in processes in turn.

`python benchmarks/portable.py [--rounds 3] [--json FILE]` trains the default's generators and classifier on
digits for a few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from labelmint.runtime.portable import LIMITS

_EPOCHS, _STEPS = 2, 60
_WAYS = {"as it is": {}, "portable": LIMITS}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both ways (default: 3)")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work()))
        return
    results: dict[str, list[dict[str, float]]] = {way: [] for way in _WAYS}
    for _ in range(arguments.rounds):
        for way, limits in _WAYS.items():
            results[way].append(_in_process(limits))
            print(way, results[way][-1], flush=True)
    ratios = {
        part: statistics.median(
            slow[part] / fast[part]
            for fast, slow in zip(results["as it is"], results["portable"], strict=True)
        )
        for part in results["portable"][0]
    }
    print("seconds portable over as it is:", {part: round(ratio, 2) for part, ratio in ratios.items()})
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"seconds": results, "ratios": ratios}, indent=1) + "\n", encoding="utf-8"
        )


def _in_process(limits: dict[str, str]) -> dict[str, float]:
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
    done = subprocess.run(
        [sys.executable, __file__, "--work"],
        env=environment | limits,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def work() -> dict[str, float]:
    """Seconds of processor time of each part, in one process."""
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    from labelmint.api.classifier import train_classifier
    from labelmint.runtime.settings import Compute
    from labelmint.training.fit import fit
    from pipeline.settings import schema

    torch.set_num_threads(1)
    params = schema.load(Path(__file__).parent.parent / "experiments" / "default.yaml")
    digits = load_digits()
    images = np.rint(np.kron(digits.images, np.ones((2, 2))) * 255 / 16).astype(np.uint8)[:, None]
    labels, names = digits.target.astype(np.int64), [str(digit) for digit in range(10)]

    def generators() -> None:
        training = replace(params.training, epochs=_EPOCHS)
        family = params.families["dcgan"]
        fit(images, labels, names, "dcgan", family, training=training, compute=Compute("cpu", workers=1))

    def classifier() -> None:
        recipe = replace(params.classifier, steps=_STEPS, evaluations=1)
        options = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
        train_classifier(images=images, labels=labels, device="cpu", **options)

    return {part.__name__: _timed(part) for part in (generators, classifier)}


def _timed(part: Callable[[], None]) -> float:
    started = time.process_time()
    part()
    return time.process_time() - started


if __name__ == "__main__":
    main()
