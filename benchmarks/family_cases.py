"""The families that benchmarks/families.py trains, with settings for digits and for faces."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.arms import Changes


class Case(NamedTuple):
    """A family with settings.

    budget: in budgets of one class's generator. changes: overlay on the family's settings.
    attributes: of the faces to train on.
    """

    budget: int
    family: str
    changes: Changes
    attributes: tuple[str, ...] = ()


_LAYERS = {"kernels": [4, 4, 4], "strides": [2, 2, 2]}
_FACE_G = {"dense_filters": 64, "filters": [64, 32], **_LAYERS}
_FACE_D = {"filters": [32, 64, 96], **_LAYERS}
_RESNET_G = {"kind": "resnet", "units": [64], "dense_filters": 48, "filters": [32, 24, 16]}
_RESNET_D = {"kind": "resnet", "filters": [16, 24, 32]}
_FIVE = ("Black_Hair", "Male", "Oval_Face", "Smiling", "Young")
_TWO = ("Male", "Attractive")


def _optimizers(learning_rate: float, **more: float) -> Changes:
    settings = {"learning_rate": learning_rate, **more}
    return {"generator_optimizer": settings, "discriminator_optimizer": settings}


def _networks(generator: Changes, discriminator: Changes) -> Changes:
    return {"generator": generator, "discriminator": discriminator}


def _per_class(generator: Changes | None = None, discriminator: Changes | None = None) -> Changes:
    """Networks of a generator per class."""
    return _networks(
        {"dense_filters": 48, "filters": [24]} | (generator or {}),
        {"filters": [24, 48]} | (discriminator or {}),
    )


def _all_classes(generator: Changes | None = None, discriminator: Changes | None = None) -> Changes:
    """Networks of one generator for all classes."""
    return _networks(
        {"dense_filters": 96, "filters": [48]} | (generator or {}),
        {"filters": [48, 96]} | (discriminator or {}),
    )


def _conditional(generator: str, discriminator: str) -> Changes:
    """Networks of one generator for all classes with these conditions."""
    return _all_classes({"condition": generator}, {"condition": discriminator})


_FAST = _optimizers(1e-3)
_UNLABELLED = {"labels": "none"}
_LABELLED = {"labels": "conditional"}

DIGITS = {
    "vanilla, perceptrons, per class": Case(1, "vanilla", {}),
    "vanilla, perceptrons, all classes, no labels": Case(10, "vanilla", _UNLABELLED),
    "vanilla, perceptrons, all classes, no labels, ten times the steps": Case(
        100, "vanilla", {**_UNLABELLED, **_optimizers(2e-4)}
    ),
    "vanilla, convolutions, per class": Case(
        1, "vanilla", _per_class({"kind": "conv", "units": []}, {"kind": "conv", "block_dropout": 0.0})
    ),
    "dcgan, per class": Case(1, "dcgan", {**_FAST, **_per_class()}),
    "dcgan, all classes, no labels": Case(10, "dcgan", {**_FAST, **_all_classes(), **_UNLABELLED}),
    "wgan, per class": Case(1, "wgan", _per_class()),
    "wgan, all classes, no labels": Case(10, "wgan", {**_all_classes(), **_UNLABELLED}),
    "wgan_gp, per class": Case(1, "wgan_gp", {**_optimizers(1e-3, beta1=0.0, beta2=0.9), **_per_class()}),
    "r3gan, per class": Case(1, "r3gan", {**_FAST, **_per_class()}),
    "cgan, beside the latent and as maps": Case(10, "cgan", {**_FAST, **_conditional("concat", "channel")}),
    "cgan, as one channel each": Case(
        10,
        "cgan",
        {
            **_FAST,
            **_all_classes(
                {"condition": "channel", "embedding": 10}, {"condition": "channel", "embedding": 10}
            ),
        },
    ),
    "cgan, trunk and merge": Case(
        10,
        "cgan",
        {
            **_FAST,
            **_all_classes(
                {"condition": "concat", "embedding": 10},
                {"condition": "merge", "embedding": 10, "units": [64, 64]},
            ),
        },
    ),
    "acgan": Case(10, "acgan", {**_FAST, **_conditional("concat", "auxiliary")}),
    "projection_cgan": Case(10, "projection_cgan", {**_FAST, **_conditional("batch_norm", "projection")}),
    "wgan_gp, conditional": Case(
        10, "wgan_gp", {**_FAST, **_LABELLED, **_conditional("batch_norm", "projection")}
    ),
    "r3gan, conditional": Case(10, "r3gan", {**_FAST, **_LABELLED, **_conditional("concat", "projection")}),
}


def _fair(budget: int, fairness: str, generator: str, discriminator: str) -> Case:
    networks = _networks({**_RESNET_G, "condition": generator}, {**_RESNET_D, "condition": discriminator})
    return Case(budget, "fairness_gan", {"fairness": fairness, **networks}, _TWO)


# Residual blocks compute eight times as much per image, hence half the steps.
FACES = {
    "attribute_cgan, branches": Case(
        10,
        "attribute_cgan",
        {
            **_FAST,
            **_networks(
                {**_FACE_G, "condition": "branch", "embedding": 32}, {**_FACE_D, "condition": "channel"}
            ),
        },
        _FIVE,
    ),
    "acgan, attributes": Case(
        10,
        "acgan",
        {
            **_FAST,
            "labels": "multi_hot",
            **_networks({**_FACE_G, "condition": "concat"}, {**_FACE_D, "condition": "auxiliary"}),
        },
        _FIVE,
    ),
    "fairness_gan, demographic parity, conditional BN and projection": _fair(
        5, "demographic_parity", "batch_norm", "projection"
    ),
    "fairness_gan, demographic parity, plain BN and concatenation": _fair(
        5, "demographic_parity", "product", "channel"
    ),
    "fairness_gan, demographic parity, conditional BN and projection, twice the steps": _fair(
        10, "demographic_parity", "batch_norm", "projection"
    ),
    "fairness_gan, equality of opportunity, conditional BN and projection": _fair(
        5, "equality_of_opportunity", "batch_norm", "projection"
    ),
    "fairness_gan, equality of opportunity, conditional BN and projection, twice the steps": _fair(
        10, "equality_of_opportunity", "batch_norm", "projection"
    ),
}
