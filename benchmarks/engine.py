"""The training engine on this machine's CPU: against the ordinary script, against the machine, and as the work grows.

`python benchmarks/engine.py [--json FILE] [--only naive,ceiling,scaling]` trains per-class DCGANs on random images (speed does not depend on
what they show) with the networks of the experiments, all ways in turn, and prints a Markdown table of each part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import naive
from labelmint.gans.settings import DiscriminatorNetwork, Family, GeneratorNetwork
from labelmint.runtime.devices import available_cores
from labelmint.runtime.settings import Compute
from labelmint.training.images import ArrayImages
from labelmint.training.replica import Replica
from labelmint.training.settings import Training
from labelmint.training.strategies import train_arm
from labelmint.training.team import Batch, Single
from pipeline.settings import schema as settings

_ROUNDS = 3
_CLASSES = 10
ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")
CORES = available_cores()


def cases() -> dict[str, tuple[Family, Training, tuple[int, int, int], int]]:
    """name -> (family, training, shape, steps a class)."""
    digits = settings.load(ROOT / "experiments" / "default.yaml")
    content = settings.read(ROOT / "experiments" / "default.yaml")
    settings.overlay(content, settings.read(ROOT / "experiments" / "mnist_quick.yaml"))
    mnist = settings.check(content, "mnist_quick")
    return {
        "digits, 16 px": (digits.families["dcgan"], digits.training, (1, 16, 16), 112),
        "MNIST (mnist_quick), 28 px": (mnist.families["dcgan"], mnist.training, (1, 28, 28), 40),
        "32 px, half of Radford's widths": (wide(32, 2), replace(digits.training, batch_size=128), (3, 32, 32), 15),
    }


def wide(size: int, divisor: int) -> Family:
    """G 256-128-64 and D 64-128-256 over `divisor`, one layer more for each doubling above 32 px."""
    more = (size // 32).bit_length() - 1
    widths = [256 // divisor] * more + [width // divisor for width in (256, 128, 64)]
    back = [width // divisor for width in (64, 128, 256)] + [256 // divisor] * more
    layers = 3 + more
    return Family(
        latent_size=100,
        generator=GeneratorNetwork(
            dense_filters=widths[0], filters=widths[1:], kernels=[4] * layers, strides=[2] * layers
        ),
        discriminator=DiscriminatorNetwork(filters=back, kernels=[4] * layers, strides=[2] * layers, head_dropout=0.3),
    )


def replicas(family: Family, training: Training, shape, steps: int, count: int) -> tuple[list[Replica], ArrayImages]:
    training = replace(training, epochs=1, images_per_epoch=steps * training.batch_size)
    images = np.random.default_rng(0).integers(0, 256, (count * 256, *shape), dtype=np.uint8)
    made = [Replica(str(n), "dcgan", family, training, np.arange(n * 256, n * 256 + 256), n) for n in range(count)]
    return made, ArrayImages(images)


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def against_naive() -> list[dict]:
    rows = []
    for name, (family, training, shape, steps) in cases().items():
        made, images = replicas(family, training, shape, steps, _CLASSES)
        batch, total = training.batch_size, _CLASSES * steps * training.batch_size

        def ours(made=made, images=images) -> None:
            list(train_arm("benchmark", made, images, Compute("cpu", CORES)))

        def theirs(family=family, made=made, images=images, steps=steps, batch=batch) -> None:
            torch.set_num_threads(CORES)
            for replica in made:
                naive.train_class(family, images.take(replica.rows), steps, batch, CPU)

        naive.train_class(family, images.take(made[0].rows), 2, batch, CPU)  # what torch imports on first use
        times = [(seconds(ours), seconds(theirs)) for _ in range(_ROUNDS)]
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


def ceiling() -> list[dict]:
    """FLOPs of a step over its time, beside the rate of plain matrix products of the same shapes, one thread in each of CORES
    processes."""
    rows = []
    for name, (family, training, shape, _) in cases().items():
        single = Single("dcgan", family, training, shape, labels=0, seed=0, mirrored=False, device=CPU)
        real = torch.zeros(training.batch_size, *shape, dtype=torch.uint8)
        with FlopCounterMode(display=False) as counter:
            single.train_step(0, Batch.unlabelled(real), 1.0, 0.1)
        step = _everywhere(_step_seconds, family, training, shape)
        rate = _everywhere(_matmul_rate, family, training, shape)
        achieved = counter.get_total_flops() / step
        rows.append(
            {
                "networks": name,
                "gflop_per_step": counter.get_total_flops() / 1e9,
                "gflops_per_core": achieved / 1e9,
                "matmul_gflops_per_core": rate / 1e9,
                "share": achieved / rate,
            }
        )
    return rows


def _everywhere(work, *arguments) -> float:
    """Median of work(*arguments), which runs in all cores at once."""
    with multiprocessing.get_context("fork").Pool(CORES, torch.set_num_threads, (1,)) as pool:
        return median(pool.starmap(work, [arguments] * CORES, chunksize=1))


def _step_seconds(family: Family, training: Training, shape) -> float:
    single = Single("dcgan", family, training, shape, labels=0, seed=0, mirrored=False, device=CPU)
    real = torch.zeros(training.batch_size, *shape, dtype=torch.uint8)
    times = [
        seconds(lambda number=number: single.train_step(number, Batch.unlabelled(real), 1.0, 0.1)) for number in range(20)
    ]
    return median(times[3:])


def _matmul_rate(family: Family, training: Training, shape) -> float:
    """FLOP/s of the networks' layers as matrix products, weighted by their FLOPs."""
    single = Single("dcgan", family, training, shape, labels=0, seed=0, mirrored=False, device=CPU)
    shapes: list[tuple[int, int, int]] = []

    def note(module, inputs, output) -> None:
        weight = module.weight
        if isinstance(module, torch.nn.ConvTranspose2d):
            pixels = inputs[0].shape[-2] * inputs[0].shape[-1]
            shapes.append((len(output) * pixels, weight.shape[0], weight[0].numel()))
        elif isinstance(module, torch.nn.Conv2d):
            shapes.append((len(output) * output.shape[-2] * output.shape[-1], weight[0].numel(), weight.shape[0]))
        elif isinstance(module, torch.nn.Linear):
            shapes.append((len(output), weight.shape[1], weight.shape[0]))

    for network in single.networks.values():
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)):
                module.register_forward_hook(note)
    with torch.no_grad():
        images = single.networks["generator"](torch.zeros(training.batch_size, family.latent_size))
        single.networks["discriminator"](images)
    flops, spent = 0.0, 0.0
    for rows, inner, columns in shapes:
        first, second = torch.randn(rows, inner), torch.randn(inner, columns)
        first @ second
        spent += median(seconds(lambda first=first, second=second: first @ second) for _ in range(7))
        flops += 2 * rows * inner * columns
    return flops / spent


def scaling() -> list[dict]:
    rows = []
    small, training, shape, _ = cases()["digits, 16 px"]
    for count in (1, 10, 40):
        made, images = replicas(small, training, shape, 30, count)
        for workers in (1, 2):
            spent = seconds(lambda made=made, images=images, workers=workers: list(train_arm("x", made, images, Compute("cpu", workers))))  # fmt: skip
            rows.append(
                {
                    "what": f"{count} replicas of 16 px, {workers} workers",
                    "images_per_second": count * 30 * training.batch_size / spent,
                }
            )
    for size in (32, 64, 128):
        family = wide(size, 4)
        made, images = replicas(family, replace(training, batch_size=32), (3, size, size), 4, 2)
        spent = seconds(lambda made=made, images=images: list(train_arm("x", made, images, Compute("cpu", 2))))
        rows.append({"what": f"2 replicas of {size} px, batch 32, 2 workers", "images_per_second": 2 * 4 * 32 / spent})
    for size in (16, 32, 64, 128):
        rows.append({"what": f"memory of one replica of {size} px above the imports, MB", "megabytes": _memory(size)})
    rows.append(
        {"what": "start of the stage: imports, checks, digest, before the first step, s", "seconds": _start_up()}
    )
    return rows


def _memory(size: int) -> float:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch\nfrom benchmarks import engine\nfrom labelmint.training import trainer\n"
        "peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]) / 1024\n"
        "size = int(sys.argv[2]); torch.set_num_threads(1)\n"
        "family, training, shape, _ = engine.cases()['digits, 16 px'] if size == 16 else (engine.wide(size, 4), engine.replace(engine.cases()['digits, 16 px'][1], batch_size=32), (3, size, size), 0)\n"
        "made, images = engine.replicas(family, training, shape, 3, 1)\n"
        "before = peak(); list(trainer.train(made, images)); print(peak() - before)\n"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", code, str(ROOT), str(size)],
            capture_output=True, text=True, check=True,
        ).stdout
    )  # fmt: skip


def _start_up() -> float:
    code = "import sys; sys.path[:0] = [sys.argv[1]]\nimport pipeline.stage, stages.train_generators\npipeline.stage.settings.load(pipeline.stage.Path(sys.argv[1]) / 'params.yaml')"
    return median(
        seconds(lambda: subprocess.run([sys.executable, "-c", code, str(ROOT)], check=True)) for _ in range(3)
    )


def table(rows: list[dict]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [row.get(name, "") for name in names]
        lines.append(
            "| " + " | ".join(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"
        )
    return "\n".join(lines)


PARTS = {"naive": against_naive, "ceiling": ceiling, "scaling": scaling}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {CORES} cores, {_CLASSES} classes, median of {_ROUNDS} rounds in turn")
    results = {}
    for part in arguments.only.split(","):
        results[part] = PARTS[part]()
        print(f"\n{part}\n\n{table(results[part])}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"torch": torch.__version__, "cores": CORES, **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
