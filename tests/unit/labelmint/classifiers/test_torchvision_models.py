"""Classification models of torchvision as classifiers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torchvision import models

from labelmint.classifiers import pretrained
from labelmint.classifiers.job import build
from labelmint.classifiers.settings import Classifier
from labelmint.random_streams import Stream
from labelmint.runtime.errors import InputError

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


def make(name: str, shape: tuple[int, int, int] = COLOUR, **settings: Any) -> Any:
    return build(Classifier(network=f"torchvision/{name}", **settings), shape, 5, None)


@pytest.mark.parametrize(
    ("name", "shape", "stride"),
    [
        ("resnet18", GREY, 1),
        ("squeezenet1_1", COLOUR, 2),
        ("mobilenet_v3_small", GREY, 1),
        ("shufflenet_v2_x0_5", COLOUR, 1),
    ],
)
def test_takes_small_images_of_any_colours(name, shape, stride):
    with torch.device("cpu"):
        network = make(name, shape, stem_stride=stride)
    assert network(torch.zeros(3, *shape)).shape == (3, 5)


def test_a_stride_of_1_keeps_the_size_of_small_images():
    network = make("resnet18", stem_stride=1).model
    assert network.conv1.stride == (1, 1) and isinstance(network.maxpool, torch.nn.Identity)
    original = make("resnet18", stem_stride=2).model
    assert original.conv1.stride == (2, 2) and isinstance(original.maxpool, torch.nn.MaxPool2d)


def test_in_evaluation_it_is_the_original():
    network = make("resnet18", stem_stride=2).eval()
    original = models.resnet18(num_classes=5)
    original.load_state_dict(network.model.state_dict())
    images = torch.rand(2, *COLOUR) * 2 - 1
    assert torch.equal(network(images), original.eval()(images))


def test_dropout_draws_from_the_stream_only():
    network = make("mobilenet_v3_small").train()
    images = torch.rand(8, *COLOUR)
    for module in network.modules():  # else batch statistics differ between calls
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    first, second = (network(images, Stream(torch.tensor([3]))) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, network(images, Stream(torch.tensor([4]))))
    assert torch.equal(network(images), network(images))


class TestSettings:
    def test_an_unknown_model_is_refused_with_the_nearest(self):
        with pytest.raises(ValueError, match="torchvision has no model 'resnet81'; did you mean 'resnet18'?"):
            Classifier(network="torchvision/resnet81")

    def test_another_name_is_refused(self):
        with pytest.raises(ValueError, match="network must be .*torchvision/NAME"):
            Classifier(network="resnet18")

    def test_images_that_are_too_small_are_refused_in_one_line(self):
        with pytest.raises(InputError, match="cannot take images of 16 x 16 pixels") as error:
            make("alexnet", (3, 16, 16))
        assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def state():
    return models.resnet18().state_dict()


class TestPretrainedWeights:
    def test_are_loaded_but_for_the_classes(self, state, tmp_path):
        torch.save(state, tmp_path / "w.pth")
        settings = Classifier(network="torchvision/resnet18", weights=str(tmp_path / "w.pth"))
        network: Any = build(settings, GREY, 5, tmp_path)
        assert torch.equal(network.model.conv1.weight, state["conv1.weight"])
        assert torch.equal(network.model.layer4[1].bn2.weight, state["layer4.1.bn2.weight"])
        assert network.model.fc.weight.shape == (5, 512)
        assert network(torch.zeros(2, *GREY)).shape == (2, 5)  # grey images become three channels

    def test_published_ones_are_found_in_a_mirror_and_checked(self, state, tmp_path, monkeypatch):
        torch.save(state, tmp_path / "made.pth")
        digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
        file = f"resnet18-{digest[:8]}.pth"
        (tmp_path / "made.pth").rename(tmp_path / file)
        monkeypatch.setattr(pretrained, "address", lambda network: f"https://example.org/{file}")
        monkeypatch.setenv("LABELMINT_MIRROR", str(tmp_path))
        settings = Classifier(network="torchvision/resnet18", weights="imagenet")
        network: Any = build(settings, COLOUR, 5, tmp_path / "raw")
        assert torch.equal(network.model.conv1.weight, state["conv1.weight"])

    def test_the_address_ends_with_a_hash(self):
        file = pretrained.address("torchvision/resnet18").rpartition("/")[2]
        assert file == "resnet18-f37072fd.pth"

    def test_those_of_another_model_are_refused(self, tmp_path):
        torch.save(models.squeezenet1_1().state_dict(), tmp_path / "w.pth")
        settings = Classifier(network="torchvision/resnet18", weights=str(tmp_path / "w.pth"))
        with pytest.raises(InputError, match="does not fit torchvision/resnet18"):
            build(settings, COLOUR, 5, tmp_path)
