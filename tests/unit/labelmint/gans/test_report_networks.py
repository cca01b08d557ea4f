"""The networks of the reports' experiments have the shapes of the reports' tables."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from labelmint.gans import registry
from labelmint.gans.layers import Embedding
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.settings.experiments import Choice
from tests.conftest import ROOT


def params_of(name: str) -> settings.Params:
    """Settings of an experiment at full size."""
    return settings.check(settings.parse(experiments.rendered(ROOT, Choice((name,), False))), name)


def shapes(name: str) -> dict[str, list[tuple[int, ...]]]:
    """Output of each dense layer and convolution of both networks, in order: (units,) or (maps, size)."""
    params = params_of(name)
    (generator,), dataset = params.generators, params.dataset
    family, entry = params.families[generator], registry.load(generator)
    count = len(dataset.attributes) if dataset.multi_hot else 10
    labels = count if family.labels in ("conditional", "multi_hot") else 0
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    seen: dict[str, list[tuple[int, ...]]] = {"G": [], "D": []}
    with torch.device("meta"):
        networks = {
            "G": entry.build_generator(family, shape, labels),
            "D": entry.build_discriminator(family, shape, labels),
        }
        for player, network in networks.items():
            for layer in network.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and not isinstance(
                    layer, Embedding
                ):
                    layer.register_forward_hook(
                        lambda _, __, out, kept=seen[player]: kept.append(tuple(out.shape[1:3]))
                    )
        images, image_labels = networks["G"](torch.zeros(2, family.latent_size), torch.zeros(2, labels))
        assert images.shape == (2, *shape)
        networks["D"](images, image_labels)
    return seen


_E_MLP = {"G": [(256,), (512,), (1024,)], "D": [(1024,), (512,), (256,), (1,)]}
_E_CONV = [(1024 * 4 * 4,), (512, 8), (256, 16)]
_E_CONV_D = [(256, 16), (512, 8), (1024, 4), (1,)]
_E_FACES = [(1024 * 4 * 4,), (512, 8), (256, 16), (128, 32), (3, 64)]
_E_FACES_D = [(128, 32), (256, 16), (512, 8), (1024, 4), (1,)]
_B_D = [(128, 32), (256, 16), (512, 8), (1,)]
_B_D_128 = [(128, 64), (256, 32), (512, 16), (1,)]

TABLES = {
    "vanilla_mlp_mnist": {"G": [(128,), (784,)], "D": [(128,), (1,)]},
    "dcgan_mnist_report": {
        "G": [(12544,), (128, 14), (64, 14), (1, 28)],
        "D": [(32, 14), (64, 7), (128, 4), (1,)],
    },
    # In D the label's embedding first becomes a map of 28 x 28.
    "cgan_mnist": {
        "G": [(12544,), (128, 14), (64, 14), (1, 28)],
        "D": [(784,), (64, 14), (64, 7), (128, 4), (1,)],
    },
    "acgan_cifar10": {
        "G": [(384 * 4 * 4,), (192, 8), (96, 16), (3, 32)],
        "D": [(16, 16), (32, 16), (64, 8), (128, 8), (256, 4), (512, 4), (11,)],
    },
    "dcgan_mnist_tutorial": {"G": [(12544,), (128, 7), (64, 14), (1, 28)], "D": [(64, 14), (128, 7), (1,)]},
    "dcgan_cifar10_tutorial": {
        "G": [(8 * 8 * 256,), (128, 8), (64, 16), (3, 32)],
        "D": [(64, 16), (128, 8), (256, 8), (1,)],
    },
    "cgan_fashion": {
        "G": [(128 * 7 * 7,), (49,), (128, 14), (128, 28), (1, 28)],
        "D": [(784,), (128, 14), (128, 7), (1,)],
    },
    "attribute_cgan_faces": {
        "G": [(256 * 4 * 4,), (256 * 4 * 4,), (256, 8), (128, 16), (64, 32), (3, 64)],
        "D": [(32, 32), (32, 32), (128, 16), (256, 8), (512, 4), (1,)],
    },
    "vanilla_mlp_mnist_deep": {**_E_MLP, "G": [*_E_MLP["G"], (784,)]},
    "vanilla_mlp_cifar10": {**_E_MLP, "G": [*_E_MLP["G"], (3072,)]},
    "vanilla_conv_mnist": {"G": [*_E_CONV, (1, 32)], "D": _E_CONV_D},
    "vanilla_conv_cifar10": {"G": [*_E_CONV, (3, 32)], "D": _E_CONV_D},
    "vanilla_conv_faces": {"G": _E_FACES, "D": _E_FACES_D},
    "dcgan_mnist": {
        "G": [(128 * 4 * 4,), (64, 8), (32, 16), (1, 32)],
        "D": [(32, 16), (64, 8), (128, 4), (1,)],
    },
    "dcgan_cifar10": {
        "G": [(128 * 4 * 4,), (64, 8), (32, 16), (3, 32)],
        "D": [(32, 16), (64, 8), (128, 4), (1,)],
    },
    "dcgan_faces": {
        "G": [(512 * 4 * 4,), (256, 8), (128, 16), (64, 32), (3, 64)],
        "D": [(64, 32), (128, 16), (256, 8), (512, 4), (1,)],
    },
    "cgan_mlp_mnist": {**_E_MLP, "G": [*_E_MLP["G"], (784,)]},
    "cgan_conv_cifar10": {"G": [(220,), *_E_CONV, (3, 32)], "D": [*_E_CONV_D[:3], (1024,), (1024,), (1,)]},
    "wgan_mlp_mnist": {**_E_MLP, "G": [*_E_MLP["G"], (784,)]},
    "wgan_conv_cifar10": {"G": [*_E_CONV, (3, 32)], "D": _E_CONV_D},
    "wgan_conv_faces": {"G": _E_FACES, "D": _E_FACES_D},
    "dcgan_faces_64": {"G": [(1024 * 4 * 4,), (512, 8), (256, 16), (128, 32), (64, 64), (3, 64)], "D": _B_D},
    "dcgan_bedrooms": {"G": [(768 * 4 * 4,), (512, 8), (384, 16), (256, 32), (3, 64)], "D": _B_D},
    "dcgan_faces_128_wide": {
        "G": [(1024 * 8 * 8,), (512, 16), (256, 32), (128, 64), (64, 128), (3, 128)],
        "D": _B_D_128,
    },
    "dcgan_faces_128_deep": {
        "G": [(1024 * 4 * 4,), (512, 8), (256, 16), (128, 32), (64, 64), (32, 128), (3, 128)],
        "D": _B_D_128,
    },
    "dcgan_faces_128_stride": {
        "G": [(1024 * 4 * 4,), (512, 16), (256, 32), (128, 64), (64, 128), (3, 128)],
        "D": _B_D_128,
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_equal_those_of_the_reports_table(name):
    assert shapes(name) == TABLES[name]


def test_the_fairness_gan_has_the_layers_of_its_papers_tables_5_and_6():
    """G has 16,384 units, four blocks of three convolutions up to 64 pixels, and an outcome of 2,048 units.

    D has a first convolution of 64 maps, four blocks, and heads of 128 units each.
    """
    seen = shapes("fairness_gan_faces_report")
    blocks = [(maps, size) for maps, size in ((1024, 8), (512, 16), (256, 32), (128, 64)) for _ in range(3)]
    assert seen["G"] == [(16384,), (2048,), (1,), (16384,), *blocks, (3, 64)]
    halved = [(maps, size) for maps, size in ((128, 64), (256, 32), (512, 16), (1024, 8)) for _ in range(3)]
    assert seen["D"][:13] == [(64, 64), *halved]
    # Y becomes 1,024 maps of 4 x 4, joined to those of X by a convolution to 512. The heads of S(X, Y), S(X)
    # and C(X) have one hidden layer, that of C(Y) two.
    assert sorted(seen["D"][13:]) == sorted(
        [(1024 * 4 * 4,), (512, 4), *[(128,), (1,)] * 3, (128,), (128,), (1,)]
    )


def test_the_discriminator_for_imagenet_has_14336_features():
    """The maps of each block after max pooling: 128 x 8 x 8 + 256 x 4 x 4 + 512 x 2 x 2."""
    assert sum(maps * (size // 2) ** 2 for maps, size in shapes("dcgan_imagenet32")["D"][:3]) == 14_336
