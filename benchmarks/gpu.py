"""The training engine on a GPU: correct first, then how fast, then real MNIST at full size.

`python benchmarks/gpu.py --out DIR [--minutes 8] [--parts correctness,speed,scaling,mnist]` runs the parts that are not yet in
DIR/<part>.json and stops after so many minutes; the same command goes on where the last one stopped. `mnist` runs every stage
of experiments/mnist.yaml in DIR/workspace, without DVC; MNIST's files are looked for in $LABELMINT_MIRROR or data/raw. What needs
no GPU can be tried with `--device cpu --small`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from benchmarks import naive
from benchmarks.engine import wide
from labelmint.gans import layers
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.runtime.settings import Compute
from labelmint.training.settings import Training
from labelmint.training.stacked import Stacked
from labelmint.training.strategies import precision
from labelmint.training.team import Batch, Single
from labelmint.training.updates import TRACKED

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


def mnist_family() -> Family:
    """That of experiments/mnist.yaml, 28 px."""
    return Family(
        latent_size=100,
        generator=GeneratorNetwork(dense_filters=256, filters=[128]),
        discriminator=DiscriminatorNetwork(filters=[64, 128], head_dropout=0.3),
    )


class Bench:
    def __init__(self, device: torch.device, small: bool):
        self.device, self.small = device, small
        self.training = Training(batch_size=8 if small else 128, ema_half_life=10_000)

    def singles(self, family: Family, shape, count: int, device: torch.device) -> list[Single]:
        return [Single("dcgan", family, self.training, shape, labels=0, seed=seed, mirrored=False, device=device) for seed in range(count)]

    def real(self, shape, count: int) -> torch.Tensor:
        rng = np.random.default_rng(0)
        return torch.from_numpy(rng.integers(0, 256, (count, self.training.batch_size, *shape), dtype=np.uint8))

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def rate(
        self, step: Callable[[int], None], images: int, ready: Callable[[], object] = lambda: None
    ) -> dict[str, float | None]:
        """Images per second and peak memory of `step`, after a warm-up and `ready`."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        warm, timed = (2, 2) if self.small else (10, 60)
        for number in range(warm):
            step(number)
        self.synchronize()
        ready()
        began = time.perf_counter()
        for number in range(warm, warm + timed):
            step(number)
        self.synchronize()
        spent = time.perf_counter() - began
        memory = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else None
        return {"images_per_second": timed * images / spent, "ms_per_step": 1e3 * spent / timed, "memory_mib": memory}


def correctness(bench: Bench) -> dict:
    """Six steps of three replicas on the GPU, stacked (graphs and not) and alone, against the same on the CPU, all in fp32."""
    shape, count, family = (1, 28, 28), 3, mnist_family()
    real = bench.real(shape, count)

    def run(team, device: torch.device) -> tuple[np.ndarray, list[torch.Tensor]]:
        for number in range(6):
            team.train_step(number, Batch.unlabelled(real.to(device)), 1.0, 0.3)
        return np.array([team.means(place, 6) for place in range(count)]), [tensor.cpu() for tensor in team.average]

    with precision(Compute(precision="fp32"), bench.device):
        reference, weights = run(Stacked(bench.singles(family, shape, count, CPU)), CPU)
        result = {}
        for name, graphs in (("stacked, graphs", True), ("stacked, eager", False)):
            team = Stacked(bench.singles(family, shape, count, bench.device), graphs=graphs)
            numbers, own = run(team, bench.device)
            result[name] = {
                "largest_relative_error_of_tracked": float(
                    (np.abs(numbers - reference) / np.maximum(np.abs(reference), 0.05)).max()
                ),
                "mean_error_of_weights": float(np.mean([(a - b).abs().mean() for a, b in zip(own, weights)])),
            }
        single = bench.singles(family, shape, count, bench.device)[1]
        for number in range(6):
            single.train_step(number, Batch.unlabelled(real[1].to(bench.device)), 1.0, 0.3)
        error = np.abs(np.array(single.means(0, 6)) - reference[1]) / np.maximum(np.abs(reference[1]), 0.05)
        result["alone"] = {"largest_relative_error_of_tracked": float(error.max())}
    result["tracked"] = list(TRACKED)
    result["correct"] = all(
        each["largest_relative_error_of_tracked"] < 0.02 for each in result.values() if isinstance(each, dict)
    )
    return result


def speed(bench: Bench) -> dict:
    """Ten classes of MNIST's networks, batch 128: every way, in images per second over all classes."""
    shape, count, family = (1, 28, 28), 2 if bench.small else 10, mnist_family()
    batch, real = bench.training.batch_size, bench.real(shape, count).to(bench.device)
    results: dict[str, dict] = {}

    def measure(name: str, make: Callable[[], Callable[[int], None]], kind: str, images: int) -> None:
        try:
            with precision(Compute(precision=kind), bench.device):
                results[name] = bench.rate(make(), images)
        except Exception as error:  # a way that does not work here is a result too
            results[name] = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(name, results[name], flush=True)

    def stacked(bf16: bool = False, graphs: bool = True) -> Callable[[int], None]:
        team = Stacked(bench.singles(family, shape, count, bench.device), bf16, graphs)
        return lambda number: team.train_step(number, Batch.unlabelled(real), 1.0, 0.1)

    def alone() -> Callable[[int], None]:
        teams = bench.singles(family, shape, count, bench.device)

        def step(number: int) -> None:
            for place, team in enumerate(teams):
                team.train_step(number, Batch.unlabelled(real[place]), 1.0, 0.1)

        return step

    def compiled() -> Callable[[int], None]:
        team = Stacked(bench.singles(family, shape, count, bench.device), graphs=False)
        team._take = torch.compile(team._take)
        return lambda number: team.train_step(number, Batch.unlabelled(real), 1.0, 0.1)

    images = count * batch
    for kind in ("fp32", "tf32"):
        measure(f"stacked, CUDA graph, {kind}", stacked, kind, images)
    measure("stacked, CUDA graph, bf16", partial(stacked, bf16=True), "tf32", images)
    measure("stacked, eager, tf32", partial(stacked, graphs=False), "tf32", images)
    measure("one by one, eager, tf32", alone, "tf32", images)
    with matrix_products():
        measure("stacked, CUDA graph, im2col + bmm, tf32", stacked, "tf32", images)
    measure("stacked, torch.compile, tf32", compiled, "tf32", images)
    for workers in (2, 5):
        if count % workers == 0:
            results[f"{workers} processes, {count // workers} stacked in each, tf32"] = in_processes(bench, workers, count // workers)  # fmt: skip
    pixels = bench.real(shape, 4).flatten(0, 1).numpy()
    steps = 2 if bench.small else 60
    naive.train_class(family, pixels, 2, batch, bench.device)
    with precision(Compute(precision="fp32"), bench.device):
        spent = naive.train_class(family, pixels, steps, batch, bench.device)
    results["naive loop, one class after another"] = {"images_per_second": steps * batch / spent}
    best = max(each.get("images_per_second", 0) for name, each in results.items() if not name.startswith("naive"))
    slow = results["naive loop, one class after another"]["images_per_second"]
    return {"ways": results, "best_over_naive": best / slow, "default_over_naive": results["stacked, CUDA graph, tf32"].get("images_per_second", 0) / slow}  # fmt: skip


def in_processes(bench: Bench, workers: int, count: int) -> dict[str, float]:
    """`workers` processes share the device, each with `count` replicas stacked, all timed over the same stretch."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _share_barrier, (context.Barrier(workers),)) as pool:
        rates = pool.starmap(_share, [(str(bench.device), bench.small, count)] * workers, chunksize=1)
    return {"images_per_second": sum(rate["images_per_second"] for rate in rates)}


def _share_barrier(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _share(device: str, small: bool, count: int) -> dict[str, float | None]:
    bench, shape, family = Bench(torch.device(device), small), (1, 28, 28), mnist_family()
    team = Stacked(bench.singles(family, shape, count, bench.device))
    real = bench.real(shape, count).to(bench.device)
    images = count * bench.training.batch_size
    with precision(Compute(), bench.device):
        return bench.rate(
            lambda number: team.train_step(number, Batch.unlabelled(real), 1.0, 0.1), images, lambda: _barrier.wait(120)
        )


_barrier: Any


@contextmanager
def matrix_products():
    """All convolutions as im2col and one matrix product a replica, on any device."""
    before = layers._FEW_CHANNELS, layers.prefers_library
    layers._FEW_CHANNELS, layers.prefers_library = 1 << 30, lambda tensor: False
    try:
        yield
    finally:
        layers._FEW_CHANNELS, layers.prefers_library = before


def scaling(bench: Bench) -> dict:
    results = {}
    sizes = ((32, 2),) if bench.small else ((32, 1), (32, 10), (32, 40), (64, 10), (128, 10))
    for size, count in sizes:
        shape, family = (3, size, size), wide(size, 4 if bench.small else 1)
        try:
            team = Stacked(bench.singles(family, shape, count, bench.device))
            real = bench.real(shape, count).to(bench.device)
            with precision(Compute(), bench.device):
                rate = bench.rate(lambda number, team=team, real=real: team.train_step(number, Batch.unlabelled(real), 1.0, 0.1), count * bench.training.batch_size)  # fmt: skip
            results[f"{count} replicas of {size} px"] = rate | {
                "memory_mib_per_replica": rate["memory_mib"] and rate["memory_mib"] / count
            }
        except torch.OutOfMemoryError:
            results[f"{count} replicas of {size} px"] = {"error": "out of memory"}
        print(results, flush=True)
    return results


def mnist(bench: Bench, folder: Path, deadline: float) -> dict | None:
    """Every stage of experiments/mnist.yaml. None: time ran out; call again. Returns: seconds by stage and the results."""
    from ruamel.yaml import YAML

    from pipeline.settings import experiments
    from pipeline.settings import schema as settings

    folder.mkdir(parents=True, exist_ok=True)
    text = experiments.rendered(ROOT, experiments.Choice(("mnist",)))
    if bench.small:
        text = text.replace("epochs: 40", "epochs: 1").replace("images_per_epoch: 25600", "images_per_epoch: 256")
    (folder / "params.yaml").write_text(text)
    everything = settings.load(folder / "params.yaml")
    state = folder / "done.json"
    done = json.loads(state.read_text()) if state.exists() else {}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LABELMINT_TRACKING": "off"}
    environment.setdefault("LABELMINT_MIRROR", str(ROOT / "data" / "raw"))
    lists = {"generators": everything.generators, "percents": everything.percents, "seeds": everything.seeds}
    for name, stage in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].items():
        matrix = stage.get("matrix", {})
        for items in itertools.product(*(lists[values.strip("${}")] for values in matrix.values())):
            address = "@".join([name, "-".join(map(str, items))] if items else [name])
            if address in done:
                continue
            left = deadline - time.monotonic()
            if left < 30:
                return None
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, *stage["cmd"].split()[1:]], cwd=folder, env={**environment, "DVC_STAGE": address}
            )
            try:
                code = process.wait(left - 15)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)  # it saves, and goes on next time
                process.wait()
                return None
            if code:
                sys.exit(f"{address}: exit code {code}")
            done[address] = round(time.monotonic() - began, 1)
            state.write_text(json.dumps(done, indent=1))
    return {"seconds": done, "results": (folder / "reports" / "results.md").read_text()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--parts", default="correctness,speed,scaling,mnist")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command itself")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU here; --device cpu --small tries the command itself")
    bench = Bench(torch.device(arguments.device), arguments.small)
    card = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    facts = {"card": card, "torch": torch.__version__, "cuda": torch.version.cuda, "date": time.strftime("%Y-%m-%d")}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts.split(","):
        path = arguments.out / f"{part}.json"
        if path.exists():
            continue
        if part == "mnist":
            result = mnist(bench, arguments.out / "workspace", deadline)
        else:
            result = {"correctness": correctness, "speed": speed, "scaling": scaling}[part](bench)
        if result is None:
            print("time is up: run the same command again to go on")
            return
        path.write_text(json.dumps({**facts, "command": " ".join(sys.argv), part: result}, indent=1) + "\n")
        print(path.read_text(), flush=True)
        if part == "correctness" and not result["correct"]:
            sys.exit("the GPU's results are not the CPU's: nothing else is measured")
    print("all parts are done")


if __name__ == "__main__":
    main()
