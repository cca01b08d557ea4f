"""What the full runs of the experiments cost: steps and floating-point operations of their generators' training.

`python benchmarks/cost.py [--quick] [NAME …]` counts the operations of both networks on torch's meta device, where nothing is computed, and divides them
by what two cores of this project's machine do in training (200 GFLOP/s, docs/results/2026-11-23-engine.md). `about.cost` in experiments/ is rounded from it.
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
from labelmint.gans.settings import Family
from pipeline.settings import experiments
from pipeline.settings import schema as settings

ROOT = Path(__file__).parent.parent
_TWO_CORES = 200e9
_IMAGES = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "celeba": 162_770, "lsun": 3_033_042, "imagenet32": 1_281_167}  # fmt: skip
"""Of the training sets, published."""


def networks(name: str, family: Family, shape: tuple[int, int, int], labels: int) -> tuple[nn.Module, nn.Module]:
    """Both networks, without weights."""
    module = registry.load(name)
    with torch.device("meta"):
        return module.build_generator(family, shape, labels), module.build_discriminator(family, shape, labels)


def of_an_image(name: str, family: Family, shape: tuple[int, int, int], labels: int) -> tuple[float, float]:
    """Operations of a generator and of a discriminator forwards, per image."""
    generator, discriminator = networks(name, family, shape, labels)
    with torch.device("meta"):
        latents, told = torch.zeros(2, family.latent_size), torch.zeros(2, labels)
        with FlopCounterMode(display=False) as counter:
            images, told = generator(latents, told)
        of_g = counter.get_total_flops() / 2
        with FlopCounterMode(display=False) as counter:
            discriminator(images, told)
    return of_g, counter.get_total_flops() / 2


def of_training(params: settings.Params) -> tuple[int, float]:
    """(steps, operations) of all generators, of all percents and seeds."""
    dataset, training, steps, total = params.dataset, params.training, 0, 0.0
    classes = len(dataset.attributes) if dataset.multi_hot else 10
    for name in params.generators:
        family = params.families[name]
        told = classes if family.labels in ("conditional", "multi_hot") else 0
        of_g, of_d = of_an_image(name, family, (dataset.channels, dataset.image_size, dataset.image_size), told)
        # Backwards takes twice as much as forwards. D: forwards and backwards on both kinds of images, and new ones to be
        # made; G: forwards and backwards through both networks, but for D's own weights.
        one = family.n_critic * (6 * of_d + of_g) + 3 * of_g + 2 * of_d
        replicas = 10 if family.labels == "per_class" else 1
        for percent in params.percents:
            own = _IMAGES[dataset.name] * percent // 100 // replicas
            per_epoch = -(-(training.images_per_epoch or own) // (training.batch_size * family.n_critic))
            count = replicas * per_epoch * training.epochs * len(params.seeds)
            steps, total = steps + count, total + count * training.batch_size * one
    return steps, total


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= (2 if unit == "days" else 1) * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of experiments; all, if none is given")
    parser.add_argument("--quick", action="store_true", help="their quick sizes")
    arguments = parser.parse_args()
    for name in arguments.names or experiments.names(ROOT):
        content = settings.parse(experiments.rendered(ROOT, experiments.Choice((name,), quick=arguments.quick)))
        params = settings.check(content, name)
        if params.dataset.name in _IMAGES:
            steps, operations = of_training(params)
            petaflop = float(f"{operations / 1e15:.2g}")
            print(
                f"{name}: {steps:,} steps, {petaflop:g} PFLOP: about {_time(operations / _TWO_CORES)} on two CPU cores"
            )


if __name__ == "__main__":
    main()
