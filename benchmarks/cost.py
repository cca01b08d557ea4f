"""What the full runs of the experiments cost: steps and floating-point operations of generator training.

`python benchmarks/cost.py [--quick] [NAME …]` counts the operations of both networks on torch's meta device,
where nothing is computed. It divides them by the rate of two cores of this project's machine in training
(200 GFLOP/s, docs/results/2026-11-23-engine.md). `about.cost` in experiments/ is rounded from the result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labelmint.gans import registry
from labelmint.gans.parts import Shape
from labelmint.gans.settings import Family
from pipeline.settings import experiments, schema

ROOT = Path(__file__).parent.parent
_TWO_CORES = 200e9
"""FLOP/s of two cores in training."""
_IMAGES = {
    "mnist": 60_000,
    "fashion_mnist": 60_000,
    "cifar10": 50_000,
    "celeba": 162_770,
    "lsun": 3_033_042,
    "imagenet32": 1_281_167,
}
"""Published sizes of the training sets."""


def networks(name: str, family: Family, shape: Shape, labels: int) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator on the meta device, without weights."""
    module = registry.load(name)
    with torch.device("meta"):
        return module.build_generator(family, shape, labels), module.build_discriminator(
            family, shape, labels
        )


def flops_per_image(name: str, family: Family, shape: Shape, labels: int) -> tuple[float, float]:
    """Operations of one forward pass of the generator and of the discriminator."""
    generator, discriminator = networks(name, family, shape, labels)
    with torch.device("meta"):
        latents, conditions = torch.zeros(2, family.latent_size), torch.zeros(2, labels)
        with FlopCounterMode(display=False) as counter:
            images, conditions = generator(latents, conditions)
        generator_flops = counter.get_total_flops() / 2
        with FlopCounterMode(display=False) as counter:
            discriminator(images, conditions)
    return generator_flops, counter.get_total_flops() / 2


def training_cost(params: schema.Params) -> tuple[int, float]:
    """Steps and operations of all generators, over all percents and seeds."""
    dataset, training, steps, total = params.dataset, params.training, 0, 0.0
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    classes = len(dataset.attributes) if dataset.multi_hot else 10
    for name in params.generators:
        family = params.families[name]
        labels = classes if family.labels in ("conditional", "multi_hot") else 0
        of_g, of_d = flops_per_image(name, family, shape, labels)
        # A backward pass costs twice a forward pass. A step of D generates images, and runs forward and
        # backward on real and synthetic ones; a step of G runs forward and backward through both networks,
        # except for the gradients of D's weights.
        per_image = family.n_critic * (6 * of_d + of_g) + 3 * of_g + 2 * of_d
        replicas = 10 if family.labels == "per_class" else 1
        for percent in params.percents:
            images = _IMAGES[dataset.name] * percent // 100 // replicas
            per_epoch = -(-(training.images_per_epoch or images) // (training.batch_size * family.n_critic))
            count = replicas * per_epoch * training.epochs * len(params.seeds)
            steps, total = steps + count, total + count * training.batch_size * per_image
    return steps, total


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= (2 if unit == "days" else 1) * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of experiments; default: all")
    parser.add_argument("--quick", action="store_true", help="count the quick sizes")
    arguments = parser.parse_args()
    for name in arguments.names or experiments.names(ROOT):
        choice = experiments.Choice((name,), quick=arguments.quick)
        params = schema.check(schema.parse(experiments.rendered(ROOT, choice)), name)
        if params.dataset.name in _IMAGES:
            steps, operations = training_cost(params)
            petaflop = float(f"{operations / 1e15:.2g}")
            duration = _duration(operations / _TWO_CORES)
            print(f"{name}: {steps:,} steps, {petaflop:g} PFLOP: about {duration} on two CPU cores")


if __name__ == "__main__":
    main()
