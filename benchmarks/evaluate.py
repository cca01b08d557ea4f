"""The parts of `evaluate`, for an arm of MNIST's size: plain float64 searches against the library's.

`python benchmarks/evaluate.py [folder of MNIST's idx files] [--images 30000] [--json FILE]` takes 60,000
training and 10,000 test images, or noise where the files are absent, and as synthetic images training images
that are shifted and blended with noise. Each part runs in both ways in turn, and their values must agree.
`plain` is what benchmarks/plain_distances.py does. Predictions of the three classifiers run in one way only.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks.plain_distances import plain
from labelmint.classifiers import feature_learner
from labelmint.classifiers.feature_network import FrozenNetwork
from labelmint.classifiers.job import build, predict
from labelmint.classifiers.settings import Classifier, FeatureNetwork
from labelmint.metrics import registry
from labelmint.metrics.inputs import Comparison, LabelledImages
from labelmint.metrics.settings import Metrics
from labelmint.runtime.allocator import keep_freed_memory
from labelmint.runtime.devices import arithmetic, available_cores, pick_device, precision_in_force
from labelmint.runtime.settings import Compute

_CLASSES, _SIDE = 10, 28
_CLASSIFIERS = 3
_TOLERANCE = 1e-9
"""Relative difference between both ways: of the last digits, which depend on the order of sums."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent.parent.parent / "shared" / "data" / "MNIST" / "raw"
    parser.add_argument("folder", nargs="?", type=Path, default=default, help="folder of MNIST's .gz files")
    parser.add_argument("--images", type=int, default=30_000, help="synthetic images (default: 30,000)")
    parser.add_argument("--real", type=int, default=60_000, help="most training images (default: 60,000)")
    parser.add_argument("--steps", type=int, default=100, help="training steps of the feature network")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    keep_freed_memory()  # as a stage does
    compute = Compute(device=arguments.device)
    device = pick_device(compute)
    training, test = real_images(arguments.folder, arguments.real)
    synthetic = synthetic_images(training, arguments.images)
    network = frozen_network(training, arguments.steps)
    print(
        f"torch {torch.__version__}, {device}, {available_cores()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{len(training[0]):,} training, {len(test[0]):,} test, {len(synthetic[0]):,} synthetic images"
    )
    results: dict[str, dict[str, float]] = {}
    with arithmetic(compute, device):
        for name, seconds in measure(network, training, test, synthetic, compute=compute):
            results[name] = seconds
            print(line(name, seconds), flush=True)
    total = {way: sum(each.get(way, each["now"]) for each in results.values()) for way in ("plain", "now")}
    results["in all"] = total | {"plain_over_now": total["plain"] / total["now"]}
    print(line("in all", results["in all"]) + f"; load {os.getloadavg()[0]:.1f}")
    if arguments.json:
        facts = {"torch": torch.__version__, "device": str(device), "cores": available_cores()}
        arguments.json.write_text(
            json.dumps({**facts, "seconds": results}, indent=1) + "\n", encoding="utf-8"
        )


def real_images(folder: Path, most: int) -> tuple[LabelledImages, LabelledImages]:
    """Training and test images: uint8 (N, 1, 28, 28), int64 (N,). Noise where the folder has no files."""
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        print(f"no images in {folder}: noise instead")
        rng = np.random.default_rng(0)
        counts = most, max(1, most // 6)
        noise = [rng.integers(0, 256, (count, 1, _SIDE, _SIDE), dtype=np.uint8) for count in counts]
        labels = [rng.integers(0, _CLASSES, count) for count in counts]
        return (noise[0], labels[0]), (noise[1], labels[1])

    def read(name: str, header: int) -> np.ndarray:
        with gzip.open(folder / f"{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    def part(name: str) -> LabelledImages:
        images = read(f"{name}-images-idx3", 16).reshape(-1, 1, _SIDE, _SIDE)
        return images[:most], read(f"{name}-labels-idx1", 8)[:most].astype(np.int64)

    return part("train"), part("t10k")


def synthetic_images(training: LabelledImages, count: int) -> LabelledImages:
    """Training images, shifted by up to two pixels and blended with noise."""
    rng, (images, labels) = np.random.default_rng(1), training
    rows = rng.integers(0, len(images), count)
    made = np.empty((count, *images.shape[1:]), np.uint8)
    for index, (row, shift) in enumerate(zip(rows, rng.integers(-2, 3, (count, 2)))):
        made[index] = np.roll(images[row], tuple(shift), (1, 2))
    blended = np.clip(made + 12 * rng.standard_normal(made.shape, np.float32), 0, 255)
    return blended.astype(np.uint8), labels[rows]


def frozen_network(training: LabelledImages, steps: int) -> FrozenNetwork:
    trained = feature_learner.train(FeatureNetwork(steps=steps), *training, [False] * _CLASSES)
    return trained.frozen("0" * 64)


def measure(
    network: FrozenNetwork,
    training: LabelledImages,
    test: LabelledImages,
    synthetic: LabelledImages,
    *,
    compute: Compute,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (part, seconds by way). Raises: ValueError where both ways give different values."""
    device = pick_device(compute)

    def predictions() -> None:
        shape = (1, _SIDE, _SIDE)
        for _ in range(_CLASSIFIERS):
            classifier = build(Classifier(stem_stride=2), shape, _CLASSES, None).to(device)
            predict(classifier, test[0], device)

    def features() -> Comparison:
        return Comparison.of(
            network,
            test,
            training,
            synthetic,
            rows=np.arange(len(training[0])),
            classes=_CLASSES,
            params=Metrics(),
            device=device,
            precision=precision_in_force(compute, device),
        )

    yield "predictions", {"now": _timed(predictions)[0]}
    comparison, seconds = _both(features)
    yield "features", seconds
    known = registry.metrics()
    for function in dict.fromkeys(known[name].function for name in registry.image_metrics()):
        try:
            _, seconds = _both(partial(cast(registry.ImageFunction, function), comparison))
        except registry.NotMeasuredError:
            continue
        yield function.__module__.rpartition(".")[-1], seconds


def _both(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """(the value, seconds of both ways and their ratio)."""
    found, seconds = {}, {}
    for way, context in (("plain", plain()), ("now", nullcontext())):
        with context:
            seconds[way], found[way] = _timed(work)
    if not _agree(found["plain"], found["now"]):
        raise ValueError(f"both ways differ: {found['plain']}, {found['now']}")
    return found["now"], seconds | {"plain_over_now": seconds["plain"] / seconds["now"]}


def _agree(plain_value: Any, value: Any) -> bool:
    """Whether numbers are equal but for rounding, and all else is equal."""
    if isinstance(value, Comparison):
        pairs = ((plain_value.sources[name], images) for name, images in value.sources.items())
        return all(np.array_equal(one.features, other.features) for one, other in pairs)
    if isinstance(value, Mapping):
        return plain_value.keys() == value.keys() and all(
            _agree(plain_value[name], value[name]) for name in value
        )
    if isinstance(value, list):
        return len(plain_value) == len(value) and all(map(_agree, plain_value, value))
    if isinstance(value, float):
        return math.isclose(value, plain_value, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(value == plain_value)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    value = work()
    return time.perf_counter() - started, value


def line(name: str, seconds: Mapping[str, float]) -> str:
    before = f"{seconds['plain']:8.2f} s plain, " if "plain" in seconds else " " * 18
    ratio = f", {seconds['plain_over_now']:.1f} times as fast" if "plain" in seconds else ""
    return f"{name:<18}{before}{seconds['now']:8.2f} s{ratio}"


if __name__ == "__main__":
    main()
