"""Every experiment of the reports: its networks have the shapes of the report's tables, and it trains and mints real images."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from labelmint.data.storage.tensors import load_set
from labelmint.gans import registry
from labelmint.gans.layers import Embedding
from labelmint.runtime.tracker import NullTracker
from pipeline.settings import experiments
from pipeline.settings import schema as settings
from pipeline.settings.experiments import Choice
from pipeline.stage import entry, select
from stages.paths import Arm, Paths
from tests.conftest import ROOT, SHARED

OF_REPORTS = [name for name in experiments.names(ROOT) if experiments.load(ROOT, name).source.startswith("report ")]


def params_of(name: str, quick: bool = False, dataset: dict[str, object] | None = None) -> settings.Params:
    content = settings.parse(experiments.rendered(ROOT, Choice((name,), quick)))
    content["dataset"].update(dataset or {})
    return settings.check(content, name)


def shapes(name: str) -> dict[str, list[tuple[int, ...]]]:
    """What leaves each dense layer and convolution of both full-size networks, in order: (units,) or (maps, size)."""
    params = params_of(name)
    (generator,), dataset = params.generators, params.dataset
    family, module = params.families[generator], registry.load(generator)
    count = len(dataset.attributes) if dataset.multi_hot else 10
    labels = count if family.labels in ("conditional", "multi_hot") else 0
    shape = (dataset.channels, dataset.image_size, dataset.image_size)
    seen: dict[str, list[tuple[int, ...]]] = {"G": [], "D": []}
    with torch.device("meta"):
        networks = {"G": module.build_generator(family, shape, labels), "D": module.build_discriminator(family, shape, labels)}  # fmt: skip
        for player, network in networks.items():
            for layer in network.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and not isinstance(layer, Embedding):
                    layer.register_forward_hook(
                        lambda _, __, out, kept=seen[player]: kept.append(tuple(out.shape[1:3]))
                    )
        images, told = networks["G"](torch.zeros(2, family.latent_size), torch.zeros(2, labels))
        assert images.shape == (2, *shape)
        networks["D"](images, told)
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
    "dcgan_mnist_report": {"G": [(12544,), (128, 14), (64, 14), (1, 28)], "D": [(32, 14), (64, 7), (128, 4), (1,)]},
    # D: the label's embedding becomes a map of 28 x 28 first
    "cgan_mnist": {"G": [(12544,), (128, 14), (64, 14), (1, 28)], "D": [(784,), (64, 14), (64, 7), (128, 4), (1,)]},
    "acgan_cifar10": {
        "G": [(384 * 4 * 4,), (192, 8), (96, 16), (3, 32)],
        "D": [(16, 16), (32, 16), (64, 8), (128, 8), (256, 4), (512, 4), (11,)],
    },
    "dcgan_mnist_tutorial": {"G": [(12544,), (128, 7), (64, 14), (1, 28)], "D": [(64, 14), (128, 7), (1,)]},
    "dcgan_cifar10_tutorial": {"G": [(8 * 8 * 256,), (128, 8), (64, 16), (3, 32)], "D": [(64, 16), (128, 8), (256, 8), (1,)]},  # fmt: skip
    "cgan_fashion": {"G": [(128 * 7 * 7,), (49,), (128, 14), (128, 28), (1, 28)], "D": [(784,), (128, 14), (128, 7), (1,)]},  # fmt: skip
    "attribute_cgan_faces": {
        "G": [(256 * 4 * 4,), (256 * 4 * 4,), (256, 8), (128, 16), (64, 32), (3, 64)],
        "D": [(32, 32), (32, 32), (128, 16), (256, 8), (512, 4), (1,)],
    },
    "vanilla_mlp_mnist_deep": {**_E_MLP, "G": [*_E_MLP["G"], (784,)]},
    "vanilla_mlp_cifar10": {**_E_MLP, "G": [*_E_MLP["G"], (3072,)]},
    "vanilla_conv_mnist": {"G": [*_E_CONV, (1, 32)], "D": _E_CONV_D},
    "vanilla_conv_cifar10": {"G": [*_E_CONV, (3, 32)], "D": _E_CONV_D},
    "vanilla_conv_faces": {"G": _E_FACES, "D": _E_FACES_D},
    "dcgan_mnist": {"G": [(128 * 4 * 4,), (64, 8), (32, 16), (1, 32)], "D": [(32, 16), (64, 8), (128, 4), (1,)]},
    "dcgan_cifar10": {"G": [(128 * 4 * 4,), (64, 8), (32, 16), (3, 32)], "D": [(32, 16), (64, 8), (128, 4), (1,)]},
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
}  # fmt: skip


class TestShapes:
    @pytest.mark.parametrize("name", TABLES)
    def test_are_those_of_the_reports_table(self, name):
        assert shapes(name) == TABLES[name]

    def test_fairness_gan_follows_report_as_tables_5_and_6(self):
        """G: 16,384 units, four blocks of three convolutions to 64 pixels, an outcome by 16,384 and 2,048 units.
        D: a first convolution of 64 maps, four blocks, heads of 128 units each."""
        seen = shapes("fairness_gan_faces_report")
        blocks = [(maps, size) for maps, size in ((1024, 8), (512, 16), (256, 32), (128, 64)) for _ in range(3)]
        assert seen["G"] == [(16384,), (2048,), (1,), (16384,), *blocks, (3, 64)]
        halved = [(maps, size) for maps, size in ((128, 64), (256, 32), (512, 16), (1024, 8)) for _ in range(3)]
        assert seen["D"][:13] == [(64, 64), *halved]
        # X and Y together: Y spread over 1,024 maps of 4 x 4, a convolution to 512, then S(X, Y), S(X), C(X); C(Y) by two layers
        assert sorted(seen["D"][13:]) == sorted([(1024 * 4 * 4,), (512, 4), *[(128,), (1,)] * 3, (128,), (128,), (1,)])

    def test_imagenets_discriminator_gives_report_bs_14336_features(self):
        """Each block's maps, halved by max pooling, flattened: 128 x 8 x 8 + 256 x 4 x 4 + 512 x 2 x 2."""
        assert sum(maps * (size // 2) ** 2 for maps, size in shapes("dcgan_imagenet32")["D"][:3]) == 14_336


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """prepared(params) -> a new workspace with the tensors of its data set, each set prepared once."""
    done: dict[str, Path] = {}

    def prepare(params: settings.Params) -> Paths:
        layout, key = Paths(tmp_path_factory.mktemp("run")), json.dumps(str(params.dataset))
        if key not in done:
            module = entry("prepare")
            module.run(select(module.Params, params, None), layout, NullTracker())
            done[key] = layout.tensors
        else:
            layout.tensors.parent.mkdir(parents=True)
            layout.tensors.symlink_to(done[key])
        return layout

    return prepare


def shrunk(name: str) -> settings.Params:
    """The quick size, two steps of eight images long, on a few real ones."""
    quick = experiments.load(ROOT, name).quick.get("dataset", {})
    data: dict[str, object] = {"images_per_class": 12}
    if params_of(name).dataset.name == "cifar10":  # at hand as a folder of JPEG files
        data |= {"name": "cifar10_jpeg", "format": "imagefolder", "path": str(SHARED / "cifar10-images.tar")}
    elif quick.get("name") != "faces" and not SHARED.is_dir():
        pytest.skip(f"real images are not at {SHARED}; set LABELMINT_TEST_DATA")
    params = params_of(name, True, data)
    family = params.families[params.generators[0]]
    training = replace(params.training, epochs=2, images_per_epoch=8 * family.n_critic, batch_size=8, preview_images=2)  # fmt: skip
    synthesis = replace(params.synthesis, images_per_class=3)
    return replace(params, percents=[100], training=training, synthesis=synthesis, compute=replace(params.compute, device="cpu", workers=1))  # fmt: skip


@pytest.mark.parametrize("name", OF_REPORTS)
def test_it_trains_and_mints(name, prepared, monkeypatch):
    monkeypatch.setenv("LABELMINT_MIRROR", str(SHARED))
    params = shrunk(name)
    layout, arm = prepared(params), Arm(params.generators[0], 100, 0)
    for stage in ("train_generators", "synthesize"):
        module = entry(stage)
        module.run(select(module.Params, params, arm), layout, NullTracker())
    family, dataset = params.families[arm.generator], params.dataset
    folder = layout.generator(arm)
    with (folder / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (10 if family.labels == "per_class" else 1)
    losses = ("d_loss_real", "d_loss_fake", "g_loss", "d_acc_real", "d_acc_fake", "penalty", "g_gradient")
    assert all(math.isfinite(float(row[column])) for row in rows for column in losses)
    assert len(list((folder / "samples").iterdir())) == 2 and Image.open(folder / "progress.gif").n_frames >= 1

    images, labels = load_set(layout.synthetic(arm))
    names = json.loads((layout.tensors / "dataset.json").read_text())["classes"]
    assert images.shape == (3 * len(names), dataset.channels, dataset.image_size, dataset.image_size)
    assert images.std() > 0
    if family.labels == "none":
        assert (labels == -1).all()
    elif family.labels == "multi_hot":
        assert labels.shape == (len(images), len(names)) and set(np.unique(labels)) <= {0, 1}
    else:
        assert np.bincount(labels).tolist() == [3] * len(names)
