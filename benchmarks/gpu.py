"""The training engine on a GPU: whether it is correct, how fast it is, then real MNIST at full size.

`python benchmarks/gpu.py --out DIR [--minutes 8] [--parts correctness,speed,scaling,mnist]` runs the parts
that lack a file DIR/<part>.json and stops after so many minutes; the same command resumes. `mnist` runs every
stage of experiments/mnist.yaml in DIR/workspace and takes MNIST's files from $LABELMINT_MIRROR or data/raw.
`--device cpu --small` tries the command where there is no GPU. DVC, Prefect and MLflow need not be installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from labelmint.training.stacked import Stacked

from benchmarks import naive
from benchmarks.engine import wide
from labelmint.gans import layers
from labelmint.gans.networks import Shape
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.runtime.devices import precision
from labelmint.runtime.settings import Compute
from labelmint.training.engine.team import Batch, Single, Team
from labelmint.training.settings import Training
from labelmint.training.updates import TRACKED

CPU = torch.device("cpu")
NAIVE = "naive loop, one class after another"
_TOLERANCE = 0.02
"""Largest relative error of a tracked number on the GPU."""
_WORKER: dict[str, Any] = {}
"""The barrier at which a process of `_rate_of_processes` waits for the others."""

Step = Callable[[int], None]
"""One training step of all replicas. The argument is its number."""


def mnist_family() -> Family:
    """The DCGAN of experiments/mnist.yaml, for 28 px."""
    return Family(
        latent_size=100,
        generator=GeneratorNetwork(dense_filters=256, filters=[128]),
        discriminator=DiscriminatorNetwork(filters=[64, 128], head_dropout=0.3),
    )


class Bench:
    """Replicas, images and a stopwatch on one device. small: tiny sizes, to try the command itself."""

    def __init__(self, device: torch.device, small: bool):
        self.device, self.small = device, small
        self.training = Training(batch_size=8 if small else 128, ema_half_life=10_000)

    def singles(
        self, family: Family, shape: Shape, count: int, device: torch.device | None = None
    ) -> list[Single]:
        options: dict[str, Any] = {"labels": 0, "mirrored": False, "device": device or self.device}
        return [Single("dcgan", family, self.training, shape, seed=seed, **options) for seed in range(count)]

    def real(self, shape: Shape, count: int) -> torch.Tensor:
        """Random images, uint8 (count, batch, C, S, S)."""
        rng = np.random.default_rng(0)
        return torch.from_numpy(
            rng.integers(0, 256, (count, self.training.batch_size, *shape), dtype=np.uint8)
        )

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def rate(self, step: Step, images: int, wait: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Speed and peak memory of `step`, which trains on `images` images, after a warm-up and `wait`."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        warm, timed = (2, 2) if self.small else (10, 60)
        for number in range(warm):
            step(number)
        self.synchronize()
        wait()
        started = time.perf_counter()
        for number in range(warm, warm + timed):
            step(number)
        self.synchronize()
        spent = time.perf_counter() - started
        memory = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None
        return {
            "images_per_second": timed * images / spent,
            "ms_per_step": 1e3 * spent / timed,
            "memory_mib": memory,
        }


def correctness(bench: Bench) -> dict[str, Any]:
    """Six steps of three replicas in fp32 on the device, stacked and single, against the same on the CPU."""
    shape, count, family = (1, 28, 28), 3, mnist_family()
    real = bench.real(shape, count)

    def run(team: Stacked, device: torch.device) -> tuple[np.ndarray, list[torch.Tensor]]:
        """The tracked numbers and the averaged weights of all replicas."""
        for number in range(6):
            team.train_step(number, Batch.unlabelled(real.to(device)), 1.0, 0.3)
        tracked = np.array([team.means(position, 6) for position in range(count)])
        return tracked, [tensor.cpu() for tensor in team.average]

    def largest_error(numbers: np.ndarray, expected: np.ndarray) -> float:
        return float((np.abs(numbers - expected) / np.maximum(np.abs(expected), 0.05)).max())

    with precision(Compute(precision="fp32"), bench.device):
        reference, weights = run(Stacked(bench.singles(family, shape, count, CPU)), CPU)
        ways: dict[str, dict[str, float]] = {}
        for name, graphs in (("stacked, graphs", True), ("stacked, eager", False)):
            team = Stacked(bench.singles(family, shape, count), graphs=graphs)
            numbers, own = run(team, bench.device)
            ways[name] = {
                "largest_relative_error_of_tracked": largest_error(numbers, reference),
                "mean_error_of_weights": float(np.mean([(a - b).abs().mean() for a, b in zip(own, weights)])),
            }
        single = bench.singles(family, shape, count)[1]
        for number in range(6):
            single.train_step(number, Batch.unlabelled(real[1].to(bench.device)), 1.0, 0.3)
        error = largest_error(np.array(single.means(0, 6)), reference[1])
        ways["single, eager"] = {"largest_relative_error_of_tracked": error}
    correct = all(way["largest_relative_error_of_tracked"] < _TOLERANCE for way in ways.values())
    return {**ways, "tracked": list(TRACKED), "correct": correct}


def speed(bench: Bench) -> dict[str, Any]:
    """Images per second over ten classes of MNIST's networks, batch 128, in every way."""
    shape, count, family = (1, 28, 28), 2 if bench.small else 10, mnist_family()
    batch, real = bench.training.batch_size, bench.real(shape, count).to(bench.device)
    images, ways = count * batch, dict[str, Any]()

    def measure(name: str, make: Callable[[], Step], kind: Literal["fp32", "tf32"]) -> None:
        try:
            with precision(Compute(precision=kind), bench.device):
                ways[name] = bench.rate(make(), images)
        except Exception as error:  # a way that fails here is a result too
            ways[name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(name, ways[name], flush=True)

    def stacked(bf16: bool = False, graphs: bool = True) -> Step:
        return _step_of(Stacked(bench.singles(family, shape, count), bf16, graphs), real)

    def one_by_one() -> Step:
        steps = [_step_of(single, own) for single, own in zip(bench.singles(family, shape, count), real)]

        def step(number: int) -> None:
            for one in steps:
                one(number)

        return step

    def compiled() -> Step:
        team = Stacked(bench.singles(family, shape, count), graphs=False)
        team._run_step = torch.compile(team._run_step)  # type: ignore[method-assign]  # of this object only
        return _step_of(team, real)

    measure("stacked, CUDA graph, fp32", stacked, "fp32")
    measure("stacked, CUDA graph, tf32", stacked, "tf32")
    measure("stacked, CUDA graph, bf16", partial(stacked, bf16=True), "tf32")
    measure("stacked, eager, tf32", partial(stacked, graphs=False), "tf32")
    measure("one by one, eager, tf32", one_by_one, "tf32")
    with matrix_products():
        measure("stacked, CUDA graph, im2col + bmm, tf32", stacked, "tf32")
    measure("stacked, torch.compile, tf32", compiled, "tf32")
    for workers in (2, 5):
        if count % workers == 0:
            each = count // workers
            rate = _rate_of_processes(bench, workers, each)
            ways[f"{workers} processes, {each} stacked in each, tf32"] = {"images_per_second": rate}
    pixels = bench.real(shape, 4).flatten(0, 1).numpy()
    steps = 2 if bench.small else 60
    naive.train_class(family, pixels, 2, batch, bench.device)
    with precision(Compute(precision="fp32"), bench.device):
        spent = naive.train_class(family, pixels, steps, batch, bench.device)
    rates = {name: way.get("images_per_second", 0) for name, way in ways.items()}
    naive_rate = steps * batch / spent
    ways[NAIVE] = {"images_per_second": naive_rate}
    return {
        "ways": ways,
        "best_over_naive": max(rates.values()) / naive_rate,
        "default_over_naive": rates["stacked, CUDA graph, tf32"] / naive_rate,
    }


def _step_of(team: Team, real: torch.Tensor) -> Step:
    return lambda number: team.train_step(number, Batch.unlabelled(real), 1.0, 0.1)


def _rate_of_processes(bench: Bench, workers: int, count: int) -> float:
    """Images per second of `workers` processes on one device, each with a stack of `count` replicas.

    All are timed over the same period.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _set_barrier, (context.Barrier(workers),)) as pool:
        return sum(pool.starmap(_rate, [(str(bench.device), bench.small, count)] * workers, chunksize=1))


def _set_barrier(barrier: Any) -> None:
    _WORKER["barrier"] = barrier


def _rate(device: str, small: bool, count: int) -> float:
    bench, shape, family = Bench(torch.device(device), small), (1, 28, 28), mnist_family()
    real = bench.real(shape, count).to(bench.device)
    step, images = (
        _step_of(Stacked(bench.singles(family, shape, count)), real),
        count * bench.training.batch_size,
    )
    with precision(Compute(), bench.device):
        rate = bench.rate(step, images, partial(_WORKER["barrier"].wait, 120))
    return float(rate["images_per_second"])


@contextmanager
def matrix_products() -> Iterator[None]:
    """Compute all convolutions as im2col and one matrix product per replica, on any device."""
    before = layers._FEW_CHANNELS, layers.prefers_library
    layers._FEW_CHANNELS, layers.prefers_library = 1 << 30, lambda tensor: False
    try:
        yield
    finally:
        layers._FEW_CHANNELS, layers.prefers_library = before


def scaling(bench: Bench) -> dict[str, Any]:
    """Speed and memory by number of replicas and size of images."""
    results: dict[str, Any] = {}
    sizes = ((32, 2),) if bench.small else ((32, 1), (32, 10), (32, 40), (64, 10), (128, 10))
    for size, count in sizes:
        shape, family = (3, size, size), wide(size, 4 if bench.small else 1)
        name, images = f"{count} replicas of {size} px", count * bench.training.batch_size
        try:
            team = Stacked(bench.singles(family, shape, count))
            real = bench.real(shape, count).to(bench.device)
            with precision(Compute(), bench.device):
                rate = bench.rate(_step_of(team, real), images)
            memory = rate["memory_mib"]
            results[name] = rate | {"memory_mib_per_replica": memory and memory / count}
        except torch.OutOfMemoryError:
            results[name] = {"error": "out of memory"}
        print(results, flush=True)
    return results


def mnist(bench: Bench, folder: Path, deadline: float) -> dict[str, Any] | None:
    """Run experiments/mnist.yaml in `folder`.

    Returns: seconds by stage and the results, or None if time ran out.
    """
    from benchmarks import full_run

    text = full_run.settings("mnist")
    if bench.small:
        text = text.replace("epochs: 40", "epochs: 1")
        text = text.replace("images_per_epoch: 25600", "images_per_epoch: 256")
    seconds = full_run.run(folder, text, deadline)
    if seconds is None:
        return None
    return {"seconds": seconds, "results": (folder / "reports" / "results.md").read_text()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=8, help="time limit")
    parser.add_argument("--parts", default="correctness,speed,scaling,mnist", help="separated by commas")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command itself")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU found; --device cpu --small tries the command itself")
    bench = Bench(torch.device(arguments.device), arguments.small)
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    facts = {
        "card": card,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": time.strftime("%Y-%m-%d"),
    }
    measures = {"correctness": correctness, "speed": speed, "scaling": scaling}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts.split(","):
        path = arguments.out / f"{part}.json"
        if path.exists():
            continue
        if part == "mnist":
            result = mnist(bench, arguments.out / "workspace", deadline)
        else:
            result = measures[part](bench)
        if result is None:
            print("the time limit is reached; run the same command again to resume")
            return
        path.write_text(json.dumps({**facts, "command": " ".join(sys.argv), part: result}, indent=1) + "\n")
        print(path.read_text(), flush=True)
        if part == "correctness" and not result["correct"]:
            sys.exit("results on the GPU differ from those on the CPU; nothing else is measured")
    print("all parts are done")


if __name__ == "__main__":
    main()
