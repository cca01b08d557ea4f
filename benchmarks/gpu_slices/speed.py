"""How fast do per-class generators train? Ten together against the ordinary script, by precision and number.

MNIST's networks are those of experiments/mnist.yaml; those of 32 px have Radford's widths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks import naive
from benchmarks.cases import experiment, wide
from benchmarks.engine_parts.ceiling import flops_per_step
from benchmarks.gpu_slices.bench import (
    PRECISIONS,
    Bench,
    Items,
    Precision,
    cudnn_benchmark,
    matmul_rate,
    one_by_one,
    together,
)
from labelmint.gans.parts import Shape
from labelmint.gans.settings import Family
from labelmint.training.settings import Training

MNIST, RADFORD = "MNIST, 28 px", "Radford's widths, 32 px"
CEILING = "matrix products, TFLOP/s"
_TOP = 20


@dataclass(frozen=True)
class Networks:
    """Networks of one class and how they train. count: replicas of the main measurement."""

    family: Family
    training: Training
    shape: Shape
    count: int


def networks(bench: Bench) -> dict[str, Networks]:
    """Networks by name."""
    params, count = experiment("mnist", quick=bench.tiny), 2 if bench.tiny else 10
    training = replace(params.training, batch_size=8 if bench.tiny else 128)
    return {
        MNIST: Networks(params.families["dcgan"], training, (1, 28, 28), count),
        RADFORD: Networks(wide(32, 8 if bench.tiny else 1), training, (3, 32, 32), count),
    }


def items(bench: Bench) -> Items:
    """Ways of training by name."""
    chosen = networks(bench)
    mnist, radford = chosen[MNIST], chosen[RADFORD]
    measured: Items = {
        CEILING: lambda: {kind: matmul_rate(bench, kind) / 1e12 for kind in PRECISIONS},
        "GFLOP per step of one replica": lambda: {
            name: flops_per_step(each.family, each.training, each.shape) / 1e9
            for name, each in chosen.items()
        },
    }

    def add(name: str, measure: Callable[..., dict[str, Any]], *arguments: Any) -> None:
        measured[name] = partial(measure, bench, *arguments)

    add(_name(MNIST, "together", "tf32", mnist.count), train_together, mnist, "tf32")
    add(f"{MNIST}: script", train_by_script, mnist)
    add(_name(MNIST, "together", "bf16", mnist.count), train_together, mnist, "bf16")
    add(_name(MNIST, "together", "fp32", mnist.count), train_together, mnist, "fp32")
    add(f"{MNIST}: one by one, eager, tf32", train_one_by_one, mnist, "tf32")
    add(_name(RADFORD, "together", "tf32", radford.count), train_together, radford, "tf32")
    add(f"{RADFORD}: script", train_by_script, radford)
    add(f"{MNIST}: kernels", profile_kernels, mnist)
    for count in (1,) if bench.tiny else (1, 40):
        add(_name(MNIST, "together", "tf32", count), train_together, mnist, "tf32", count)
    add(_name(RADFORD, "together", "bf16", radford.count), train_together, radford, "bf16")
    add(f"{RADFORD}: kernels", profile_kernels, radford)
    for kind in ("tf32", "bf16"):
        name = _name(MNIST, "together, cudnn.benchmark", kind, mnist.count)
        add(name, train_with_cudnn_benchmark, mnist, kind)
    add(f"{RADFORD}: one by one, eager, tf32", train_one_by_one, radford, "tf32")
    add(_name(RADFORD, "together", "fp32", radford.count), train_together, radford, "fp32")
    if not bench.tiny:
        for name, each in chosen.items():
            add(_name(name, "together", "bf16", 40), train_together, each, "bf16", 40)
    return measured


def _name(networks: str, way: str, kind: str, count: int) -> str:
    return f"{networks}: {way}, {kind}, {count}"


def train_together(
    bench: Bench, networks: Networks, kind: Precision, count: int | None = None
) -> dict[str, Any]:
    """Time of a step of `count` replicas in one captured graph, and of the host's part of it."""
    count = count or networks.count
    with bench.precision(kind):
        runs = bench.runs(networks.family, networks.training, networks.shape, count, bf16=kind == "bf16")
        found = bench.time_steps(together(bench.device, runs), count * networks.training.batch_size)
        return {
            "replicas": count,
            "precision": kind,
            **found,
            "host_ms_per_step": bench.time_preparation(runs),
        }


def train_with_cudnn_benchmark(bench: Bench, networks: Networks, kind: Precision) -> dict[str, Any]:
    """The same with cuDNN's choice of algorithms by timing."""
    with cudnn_benchmark():
        return train_together(bench, networks, kind)


def train_one_by_one(bench: Bench, networks: Networks, kind: Precision) -> dict[str, Any]:
    """Time of a step of one replica after another, eager."""
    with bench.precision(kind):
        runs = bench.runs(
            networks.family, networks.training, networks.shape, networks.count, bf16=kind == "bf16"
        )
        return bench.time_steps(one_by_one(runs), networks.count * networks.training.batch_size)


def train_by_script(bench: Bench, networks: Networks) -> dict[str, Any]:
    """Time of a step of all classes by the ordinary script, one class after another, at torch's defaults."""
    batch, steps = networks.training.batch_size, 2 if bench.tiny else 50
    images = bench.random_images(4 * batch, networks.shape)
    naive.train_class(networks.family, images, 2, batch, bench.device)
    spent = sum(
        naive.train_class(networks.family, images, steps, batch, bench.device) for _ in range(networks.count)
    )
    total = networks.count * steps * batch
    return {
        "replicas": networks.count,
        "ms_per_step": 1e3 * spent / steps,
        "images_per_second": total / spent,
    }


def profile_kernels(bench: Bench, networks: Networks) -> dict[str, Any]:
    """Kernels of a captured step in tf32 that take the most time, ms and number per step.

    Streams run side by side, so that the sum of all kernels exceeds the time of a step.
    """
    from torch.profiler import ProfilerActivity, profile

    steps = 1 if bench.tiny else 3
    with bench.precision("tf32"):
        runs = bench.runs(networks.family, networks.training, networks.shape, networks.count, bf16=False)
        step = together(bench.device, runs)
        for _ in range(bench.sizes[0]):
            step()
        bench.synchronize()
        activity = ProfilerActivity.CUDA if bench.is_cuda else ProfilerActivity.CPU
        with profile(activities=[activity]) as recorded:
            for _ in range(steps):
                step()
            bench.synchronize()
    key = "self_device_time_total" if bench.is_cuda else "self_cpu_time_total"
    rows = sorted(recorded.key_averages(), key=lambda row: -getattr(row, key))
    milliseconds = {row.key: getattr(row, key) / 1e3 / steps for row in rows}
    return {
        "kernel_ms_per_step": sum(milliseconds.values()),
        "kernels_per_step": sum(row.count for row in rows) / steps,
        "top": [
            {"kernel": row.key[:120], "ms": milliseconds[row.key], "count": row.count / steps}
            for row in rows[:_TOP]
        ],
    }


def summarize(results: dict[str, Any]) -> dict[str, Any]:
    """Speed over the script's, and the fraction of the rate of matrix products in the same precision."""
    flops = results.get("GFLOP per step of one replica", {})
    over_script, fractions, lines = {}, {}, {}
    for name, found in results.items():
        networks, _, way = name.partition(": ")
        if not way.startswith("together") or "ms_per_step" not in found:
            continue
        kind, count, spent = found["precision"], found["replicas"], found["ms_per_step"]
        lines[name] = f"{name} replicas: {spent:.3g} ms a step, {found['images_per_second']:,.0f} images/s"
        script = results.get(f"{networks}: script", {})
        if script.get("replicas") == count:
            over_script[name] = script["ms_per_step"] / spent
            lines[name] += f", {over_script[name]:.2g} times the script"
        rate = results.get(CEILING, {}).get(kind)
        if rate and networks in flops:
            fractions[name] = count * flops[networks] / spent / rate  # GFLOP/ms is TFLOP/s
            lines[name] += f", {100 * fractions[name]:.0f} % of matrix products"
    return {
        "over_script": over_script,
        "fraction_of_matrix_products": fractions,
        "line": next(iter(lines.values()), "no speed measured"),
    }
