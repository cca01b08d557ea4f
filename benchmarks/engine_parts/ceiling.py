"""FLOP/s of a training step beside those of plain matrix products of the same shapes.

Both run in one thread in each of as many processes as there are cores.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import Row, cases, learner_of, seconds, stepper
from labelmint.gans.parts import Shape
from labelmint.gans.settings import Family
from labelmint.runtime.devices import available_cores
from labelmint.training.gan_learner import GanLearner
from labelmint.training.settings import Training

_WARM_UP = 3


def ceiling() -> list[Row]:
    """A row per case."""
    rows = []
    for name, (family, training, shape, _) in cases().items():
        flops = flops_per_step(family, training, shape)
        achieved = flops / _on_all_cores(_step_seconds, family, training, shape)
        rate = _on_all_cores(_matmul_rate, family, training, shape)
        rows.append(
            {
                "networks": name,
                "gflop_per_step": flops / 1e9,
                "gflops_per_core": achieved / 1e9,
                "matmul_gflops_per_core": rate / 1e9,
                "fraction_of_matmul": achieved / rate,
            }
        )
    return rows


def flops_per_step(family: Family, training: Training, shape: Shape) -> int:
    """Floating-point operations of one replica's training step, by torch's counter."""
    step = stepper(family, training, shape)
    with FlopCounterMode(display=False) as counter:
        step(0)
    return int(counter.get_total_flops())


def _on_all_cores(work: Callable[[Family, Training, Shape], float], *case: Any) -> float:
    """Median of work(*case), which runs on all cores at once."""
    cores = available_cores()
    with multiprocessing.get_context("fork").Pool(cores, torch.set_num_threads, (1,)) as pool:
        return median(pool.starmap(work, [case] * cores, chunksize=1))


def _step_seconds(family: Family, training: Training, shape: Shape) -> float:
    step = stepper(family, training, shape)
    return median([seconds(partial(step, number)) for number in range(20)][_WARM_UP:])


def _matmul_rate(family: Family, training: Training, shape: Shape) -> float:
    """FLOP/s of the networks' layers as matrix products, weighted by their FLOPs."""
    flops, spent = 0.0, 0.0
    for rows, inner, columns in _layer_shapes(learner_of(family, training, shape)):
        first, second = torch.randn(rows, inner), torch.randn(inner, columns)
        first @ second
        spent += median(seconds(partial(torch.matmul, first, second)) for _ in range(7))
        flops += 2 * rows * inner * columns
    return flops / spent


def _layer_shapes(learner: GanLearner) -> list[tuple[int, int, int]]:
    """Rows, inner size and columns of every layer of both networks as a matrix product."""
    shapes: list[tuple[int, int, int]] = []

    def record(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight = cast(torch.Tensor, module.weight)
        if isinstance(module, torch.nn.ConvTranspose2d):
            pixels = inputs[0].shape[-2] * inputs[0].shape[-1]
            shapes.append((len(output) * pixels, weight.shape[0], weight[0].numel()))
        elif isinstance(module, torch.nn.Conv2d):
            pixels = output.shape[-2] * output.shape[-1]
            shapes.append((len(output) * pixels, weight[0].numel(), weight.shape[0]))
        else:
            shapes.append((len(output), weight.shape[1], weight.shape[0]))

    for network in learner.networks.values():
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear)):
                module.register_forward_hook(record)
    count = learner.training.batch_size
    with torch.no_grad():
        latents, labels = torch.zeros(count, learner.family.latent_size), torch.zeros(count, 0)
        learner.networks["discriminator"](*learner.networks["generator"](latents, labels))
    return shapes
