"""The registry of families: one file in labelmint/families per family, whose `FAMILY` is its entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from torch import nn

from labelmint.gans.networks import Discriminator, Generator, MLPDiscriminator, MLPGenerator
from labelmint.gans.objectives import Objective
from labelmint.gans.parts import Shape
from labelmint.gans.residual import ResidualDiscriminator, ResidualGenerator
from labelmint.gans.settings import Family
from labelmint.runtime.errors import InputError

NAMES = sorted(path.stem for path in (Path(__file__).parents[1] / "families").glob("[!_]*.py"))

_GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "conv": Generator,
    "mlp": MLPGenerator,
    "resnet": ResidualGenerator,
}
_DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "conv": Discriminator,
    "mlp": MLPDiscriminator,
    "resnet": ResidualDiscriminator,
}


def build_generator(family: Family, shape: Shape, labels: int) -> nn.Module:
    """The generator that the settings describe. labels: length of a label, 0 for none."""
    return _GENERATORS[family.generator.kind](family.generator, family.latent_size, shape, labels)


def build_discriminator(family: Family, shape: Shape, labels: int) -> nn.Module:
    """The discriminator that the settings describe. labels: length of a label, 0 for none."""
    return _DISCRIMINATORS[family.discriminator.kind](family.discriminator, shape, labels)


@dataclass(frozen=True)
class FamilyEntry:
    """What distinguishes one family of GANs from another, besides its settings.

    title: its name in words. source: the paper. label_kinds: the values of Family.labels that it supports.
    objective: from settings to the losses of both networks. settings: the recommended settings, those of
    experiments/default.yaml. build_generator, build_discriminator: from (settings, shape of the images,
    length of a label) to a network. check: raises ValueError for settings that do not fit each other, or the
    names of the dataset's labels.
    """

    title: str
    source: str
    label_kinds: tuple[str, ...]
    objective: Callable[[Family], Objective]
    settings: Family
    build_generator: Callable[[Family, Shape, int], nn.Module] = build_generator
    build_discriminator: Callable[[Family, Shape, int], nn.Module] = build_discriminator
    check: Callable[[Family, list[str]], None] | None = None


def load(name: str) -> FamilyEntry:
    """The entry of one of NAMES. It is imported by name: networks and objectives know no family."""
    entry: FamilyEntry = import_module(f"labelmint.families.{name}").FAMILY
    return entry


def check(name: str, family: Family, dataset_labels: list[str]) -> None:
    """Check that a family supports the settings. dataset_labels: names of the classes or attributes.

    Raises: InputError naming the setting.
    """
    entry = load(name)
    if family.labels not in entry.label_kinds:
        kinds = " or ".join(entry.label_kinds)
        raise InputError(f"families.{name}.labels: {name} takes {kinds}, not {family.labels}")
    try:
        objective = entry.objective(family)
        if objective.paired and family.update == "sequential":
            raise ValueError(
                "compares real with generated images; it needs update: alternating or simultaneous"
            )
        if family.label_smoothing and not objective.has_target:
            raise ValueError("its objective has no target that label_smoothing could soften; set it to 0")
        if entry.check is not None:
            entry.check(family, dataset_labels)
    except ValueError as error:
        raise InputError(f"families.{name}: {error}") from error
