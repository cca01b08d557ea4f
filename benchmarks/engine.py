"""The training engine on this machine's CPU: against the ordinary script, the machine's limit, and more work.

`python benchmarks/engine.py [--json FILE] [--only naive,ceiling,scaling]` trains per-class DCGANs with the
networks of the experiments on random images, since speed does not depend on their content. It runs all ways
in turn, and prints a Markdown table of each part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import naive
from labelmint.gans.networks import Shape
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.runtime.devices import available_cores
from labelmint.runtime.settings import Compute
from labelmint.training.engine.team import Batch, Single
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm

_ROUNDS = 3
_CLASSES = 10
ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
CORES = available_cores()

Row = dict[str, Any]
Case = tuple[Family, Training, Shape, int]
"""Family, training, shape of the images, and steps per class."""


def cases() -> dict[str, Case]:
    """Cases by name."""
    from pipeline.settings import experiments, schema

    digits = schema.load(ROOT / "experiments" / "default.yaml")
    text = experiments.rendered(ROOT, experiments.Choice(("mnist_quick",)))
    mnist = schema.check(schema.parse(text), "mnist_quick")
    large_batch = replace(digits.training, batch_size=128)
    return {
        "digits, 16 px": (digits.families["dcgan"], digits.training, (1, 16, 16), 112),
        "MNIST (mnist_quick), 28 px": (mnist.families["dcgan"], mnist.training, (1, 28, 28), 40),
        "32 px, half of Radford's widths": (wide(32, 2), large_batch, (3, 32, 32), 15),
    }


def wide(size: int, divisor: int) -> Family:
    """G of widths 256-128-64 and D of 64-128-256, over `divisor`; a layer more per doubling above 32 px."""
    more = (size // 32).bit_length() - 1
    widths = [256 // divisor] * more + [width // divisor for width in (256, 128, 64)]
    back = [width // divisor for width in (64, 128, 256)] + [256 // divisor] * more
    layers = 3 + more
    return Family(
        latent_size=100,
        generator=GeneratorNetwork(
            dense_filters=widths[0], filters=widths[1:], kernels=[4] * layers, strides=[2] * layers
        ),
        discriminator=DiscriminatorNetwork(
            filters=back, kernels=[4] * layers, strides=[2] * layers, head_dropout=0.3
        ),
    )


def replicas(
    family: Family, training: Training, shape: Shape, steps: int, count: int
) -> tuple[list[Replica], ArrayImages]:
    """`count` replicas of `steps` steps, each with 256 random images of its own, and all the images."""
    training = replace(training, epochs=1, images_per_epoch=steps * training.batch_size)
    images = np.random.default_rng(0).integers(0, 256, (count * 256, *shape), dtype=np.uint8)
    created = [
        Replica(str(n), "dcgan", family, training, np.arange(n * 256, n * 256 + 256), n) for n in range(count)
    ]
    return created, ArrayImages(images)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _train(replicas: list[Replica], images: ArrayImages, workers: int) -> None:
    for _ in train_arm("benchmark", replicas, images, Compute("cpu", workers)):
        pass


def _train_naively(replicas: list[Replica], images: ArrayImages, steps: int) -> None:
    torch.set_num_threads(CORES)
    for one in replicas:
        naive.train_class(one.family, images.take(one.rows), steps, one.training.batch_size, CPU)


def against_naive() -> list[Row]:
    """Images per second of the engine and of the ordinary script."""
    rows = []
    for name, (family, training, shape, steps) in cases().items():
        classes, images = replicas(family, training, shape, steps, _CLASSES)
        batch, total = training.batch_size, _CLASSES * steps * training.batch_size
        ours = partial(_train, classes, images, CORES)
        script = partial(_train_naively, classes, images, steps)
        _train_naively(classes[:1], images, 2)  # torch imports modules on first use
        times = [(seconds(ours), seconds(script)) for _ in range(_ROUNDS)]
        rows.append(
            {
                "networks": name,
                "batch": batch,
                "ours_images_per_second": total / median(one for one, _ in times),
                "naive_images_per_second": total / median(two for _, two in times),
                "ratio": median(two / one for one, two in times),
            }
        )
    return rows


def ceiling() -> list[Row]:
    """FLOP/s of a training step beside those of plain matrix products of the same shapes.

    Both run in one thread in each of CORES processes.
    """
    rows = []
    for name, (family, training, shape, _) in cases().items():
        single, batch = _single(family, training, shape), _batch(training, shape)
        with FlopCounterMode(display=False) as counter:
            single.train_step(0, batch, 1.0, 0.1)
        step = _on_all_cores(_step_seconds, family, training, shape)
        rate = _on_all_cores(_matmul_rate, family, training, shape)
        achieved = counter.get_total_flops() / step
        rows.append(
            {
                "networks": name,
                "gflop_per_step": counter.get_total_flops() / 1e9,
                "gflops_per_core": achieved / 1e9,
                "matmul_gflops_per_core": rate / 1e9,
                "fraction_of_matmul": achieved / rate,
            }
        )
    return rows


def _single(family: Family, training: Training, shape: Shape) -> Single:
    return Single("dcgan", family, training, shape, labels=0, seed=0, mirrored=False, device=CPU)


def _batch(training: Training, shape: Shape) -> Batch:
    return Batch.unlabelled(torch.zeros(training.batch_size, *shape, dtype=torch.uint8))


def _on_all_cores(work: Callable[[Family, Training, Shape], float], *case: Any) -> float:
    """Median of work(*case), which runs on all cores at once."""
    with multiprocessing.get_context("fork").Pool(CORES, torch.set_num_threads, (1,)) as pool:
        return median(pool.starmap(work, [case] * CORES, chunksize=1))


def _step_seconds(family: Family, training: Training, shape: Shape) -> float:
    single, batch = _single(family, training, shape), _batch(training, shape)
    times = [seconds(partial(single.train_step, number, batch, 1.0, 0.1)) for number in range(20)]
    return median(times[3:])


def _matmul_rate(family: Family, training: Training, shape: Shape) -> float:
    """FLOP/s of the networks' layers as matrix products, weighted by their FLOPs."""
    single = _single(family, training, shape)
    shapes: list[tuple[int, int, int]] = []

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight = cast(torch.Tensor, module.weight)
        if isinstance(module, torch.nn.ConvTranspose2d):
            pixels = inputs[0].shape[-2] * inputs[0].shape[-1]
            shapes.append((len(output) * pixels, weight.shape[0], weight[0].numel()))
        elif isinstance(module, torch.nn.Conv2d):
            shapes.append(
                (len(output) * output.shape[-2] * output.shape[-1], weight[0].numel(), weight.shape[0])
            )
        elif isinstance(module, torch.nn.Linear):
            shapes.append((len(output), weight.shape[1], weight.shape[0]))

    for network in single.networks.values():
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)):
                module.register_forward_hook(record)
    with torch.no_grad():
        latents, labels = (
            torch.zeros(training.batch_size, family.latent_size),
            torch.zeros(training.batch_size, 0),
        )
        single.networks["discriminator"](*single.networks["generator"](latents, labels))
    flops, spent = 0.0, 0.0
    for rows, inner, columns in shapes:
        first, second = torch.randn(rows, inner), torch.randn(inner, columns)
        first @ second
        spent += median(seconds(partial(torch.matmul, first, second)) for _ in range(7))
        flops += 2 * rows * inner * columns
    return flops / spent


def scaling() -> list[Row]:
    """Speed by number of replicas, workers and size of images; memory of a replica; start-up of the stage."""
    rows: list[Row] = []
    small, training, shape, _ = cases()["digits, 16 px"]
    for count in (1, 10, 40):
        team, images = replicas(small, training, shape, 30, count)
        for workers in (1, 2):
            spent = seconds(partial(_train, team, images, workers))
            rows.append(
                {
                    "what": f"{count} replicas of 16 px, {workers} workers",
                    "images_per_second": count * 30 * training.batch_size / spent,
                }
            )
    for size in (32, 64, 128):
        family = wide(size, 4)
        team, images = replicas(family, replace(training, batch_size=32), (3, size, size), 4, 2)
        spent = seconds(partial(_train, team, images, 2))
        rate = 2 * 4 * 32 / spent
        rows.append({"what": f"2 replicas of {size} px, batch 32, 2 workers", "images_per_second": rate})
    for size in (16, 32, 64, 128):
        what = f"memory of one replica of {size} px above the imports, MB"
        rows.append({"what": what, "megabytes": _memory(size)})
    what = "start of the stage: imports, checks, digest, before the first step, s"
    rows.append({"what": what, "seconds": _start_up_seconds()})
    return rows


_MEMORY = """
import sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
import torch
from benchmarks import engine
from labelmint.training import trainer

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

size = int(sys.argv[2])
torch.set_num_threads(1)
family, training, shape, _ = engine.cases()["digits, 16 px"]
if size != 16:
    family, training, shape = engine.wide(size, 4), replace(training, batch_size=32), (3, size, size)
replicas, images = engine.replicas(family, training, shape, 3, 1)
before = peak()
list(trainer.train(replicas, images))
print(peak() - before)
"""

_START_UP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pipeline.stage, stages.train_generators
from pipeline.settings import schema
schema.load(Path(sys.argv[1]) / "params.yaml")
"""


def _memory(size: int) -> float:
    """Megabytes that training one replica adds to the peak of a process."""
    command = [sys.executable, "-c", _MEMORY, str(ROOT), str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _start_up_seconds() -> float:
    command = [sys.executable, "-c", _START_UP, str(ROOT)]
    return median(seconds(partial(subprocess.run, command, check=True)) for _ in range(3))


def table(rows: list[Row]) -> str:
    """A Markdown table of all columns that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        values = [row.get(name, "") for name in names]
        cells = [f"{value:,.2f}" if isinstance(value, float) else str(value) for value in values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


PARTS = {"naive": against_naive, "ceiling": ceiling, "scaling": scaling}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {CORES} cores, {_CLASSES} classes, median of {_ROUNDS} rounds in turn")
    results = {}
    for part in arguments.only.split(","):
        results[part] = PARTS[part]()
        print(f"\n{part}\n\n{table(results[part])}", flush=True)
    if arguments.json:
        content = {"torch": torch.__version__, "cores": CORES, **results}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
