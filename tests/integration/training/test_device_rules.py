"""Rules of a GPU, on fake CUDA tensors: one device, no float64, no wait for it; and few operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from labelmint.classifiers.augment import augment
from labelmint.classifiers.job import build as build_classifier
from labelmint.classifiers.settings import Augmentation, Classifier
from labelmint.classifiers.targets import may_flip
from labelmint.data.storage.pixels import normalize
from labelmint.training.engine.step_inputs import StepDraws
from labelmint.training.gan_learner import Batch, GanLearner
from labelmint.training.image_ops import mirror
from labelmint.training.settings import Training
from tests.conftest import CPU
from tests.tiny_families import FAMILIES, SHAPE, batch, build, label_length, one_thread, train_step  # noqa: F401

FULL = Training(
    translation=0.2, cutout=0.4, brightness=0.5, contrast=0.5, saturation=0.5, rotation=20.0, batch_size=6
)
VIEWS = (
    "view", "_unsafe_view", "t.", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze",
    "detach", "alias", "split", "as_strided", "unbind", "empty", "new_empty", "_reshape_alias", "lift_fresh",
    "diagonal", "unfold.", "prim", "_local",
)  # fmt: skip


class Watch(TorchDispatchMode):
    """Counts operations that compute, and refuses what a GPU should not meet in a step."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).removeprefix("aten.")
        result = function(*args, **(kwargs or {}))
        if not name.startswith(VIEWS):
            self.operations.append(name)
        if "_local_scalar_dense" in name:
            raise AssertionError(f"{name}: the host waits for the device")
        tensors = [each for each in tree_leaves((args, kwargs, result)) if isinstance(each, torch.Tensor)]
        on_gpu = [each for each in tensors if each.device.type == "cuda"]
        assert not on_gpu or len(on_gpu) == len(tensors), f"{name}: a copy between host and device"
        assert all(each.dtype != torch.float64 for each in on_gpu), f"{name} in float64"
        return result


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_stays_on_its_device(name, bf16, fake_cuda):
    """Two steps: the first one finds out which random numbers a step draws."""
    family, labels = FAMILIES[name], label_length(FAMILIES[name])
    learner = GanLearner(
        name, family, FULL, SHAPE, labels=labels, seed=1, mirrored=True, device=fake_cuda, bf16=bf16
    )
    count = 6 * family.n_critic
    given = Batch(
        torch.zeros(count, *SHAPE, dtype=torch.uint8, device=fake_cuda),
        torch.zeros(count, labels, device=fake_cuda),
        torch.ones(count, dtype=torch.bool, device=fake_cuda),
    )
    for number in range(2):
        learner.prepare(number, 1.0, 0.5)
        with Watch() as watch:
            learner.step(given)
    assert len(watch.operations) > 50
    weights = [*learner.weights["generator"], *learner.weights["discriminator"], *learner.average]
    assert {weight.device.type for weight in weights} == {"cuda"}
    assert {weight.dtype for weight in weights} == {torch.float32}


@pytest.mark.parametrize("network", ["small_cnn", "efficientnet-b0"])
def test_a_classifier_stays_on_its_device(network, fake_cuda):
    classifier = build_classifier(Classifier(network=network), SHAPE, 10, None).to(fake_cuda)
    images = torch.zeros(4, *SHAPE, dtype=torch.uint8, device=fake_cuda)
    draws = StepDraws(fake_cuda)
    for step in range(2):
        draws.prepare(step)
        with Watch():
            draws.begin()
            batch = augment(normalize(images), Augmentation(), draws.root())
            allowed, labels = (
                torch.zeros(n, dtype=kind, device=fake_cuda)
                for n, kind in ((10, torch.bool), (4, torch.int64))
            )
            logits = classifier(mirror(batch, may_flip(allowed, labels), draws.root()), draws.root())
        assert logits.device == fake_cuda


def test_an_operation_on_two_devices_is_an_error(fake_cuda):
    with pytest.raises(Exception, match="device"):
        torch.zeros(3, device=fake_cuda) + torch.zeros(3)


BUDGET = {
    # family: operations of a step that compute something. Penalties of wgan_gp and r3gan go through the
    # augmentation, as published.
    "dcgan": 250,
    "vanilla": 201,
    "cgan": 243,
    "acgan": 291,
    "projection_cgan": 494,
    "attribute_cgan": 255,
    "fairness_gan": 1649,
    "wgan": 520,
    "wgan_gp": 545,
    "r3gan": 346,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_operations_of_a_step_do_not_grow_unnoticed(name):
    """A GPU launches each as a kernel. When a change needs more of them, say why and raise the number."""
    discriminator = FAMILIES[name].discriminator
    family = replace(FAMILIES[name], discriminator=replace(discriminator, head_dropout=0.3))
    learner = build(name, family, Training(batch_size=6), seed=3)
    train_step(learner, 0, batch(family, 6))
    learner.prepare(1, 1.0, 0.5)
    with Watch() as watch:
        learner.step(batch(family, 6, 1))
    assert len(watch.operations) == BUDGET[name]
    assert learner.device == CPU
