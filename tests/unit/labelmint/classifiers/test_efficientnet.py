"""EfficientNet-B0: equal to the library's, with a small head, and its pretrained weights."""

from __future__ import annotations

import hashlib

import pytest
import torch
from efficientnet_pytorch import EfficientNet

from labelmint.classifiers import pretrained
from labelmint.classifiers.efficientnet import EfficientNetB0
from labelmint.classifiers.settings import Classifier
from labelmint.runtime.errors import InputError


@pytest.mark.parametrize("size", [16, 28, 64])
def test_outputs_and_gradients_equal_those_of_the_library(size):
    """Ours skips taps that only meet padding, and computes 1 x 1 convolutions as matrix products."""
    torch.manual_seed(0)
    ours = EfficientNetB0(Classifier(stem_stride=2, head_dropout=0), (3, size, size), 10, None).trunk
    library = EfficientNet.from_name(
        "efficientnet-b0", image_size=size, dropout_rate=0.0, drop_connect_rate=0.0
    )
    library._fc = torch.nn.Identity()
    library.load_state_dict(ours.state_dict())
    images = torch.randn(1, 3, size, size).requires_grad_()
    ours.eval()
    library.eval()
    assert torch.allclose(ours(images), library(images), rtol=1e-3, atol=1e-4)
    gradient, expected = (
        torch.autograd.grad((network(images) ** 2).sum(), images)[0] for network in (ours, library)
    )
    assert torch.allclose(gradient, expected, rtol=1e-2, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("stride", [1, 2])
def test_the_head_and_the_stem_are_those_of_the_settings(stride):
    network = EfficientNetB0(Classifier(stem_stride=stride), (1, 16, 16), 10, None)
    assert network.dropout.probability == 0.3
    assert (network.dense.in_features, network.dense.out_features) == (1280, 512)
    assert network.head.out_features == 10
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    assert network.trunk._conv_stem.stride == (stride, stride)


@pytest.fixture(scope="module")
def state():
    return EfficientNet.from_name("efficientnet-b0").state_dict()


class TestPretrainedWeights:
    def test_are_loaded_from_a_path(self, tmp_path, state):
        torch.save(state, tmp_path / "w.pth")
        network = EfficientNetB0(Classifier(weights=str(tmp_path / "w.pth")), (1, 32, 32), 10, tmp_path)
        assert torch.equal(network.trunk._conv_stem.weight, state["_conv_stem.weight"])
        assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 10)  # grey images become three channels

    def test_are_found_by_name_in_a_mirror_and_checked(self, tmp_path, state, monkeypatch):
        torch.save(state, tmp_path / "made.pth")
        digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
        name = f"efficientnet-b0-{digest[:8]}.pth"
        monkeypatch.setattr(pretrained, "_EFFICIENTNET", f"https://example.org/{name}")
        monkeypatch.setenv("LABELMINT_MIRROR", str(tmp_path))
        (tmp_path / "made.pth").rename(tmp_path / name)
        settings = Classifier(weights="imagenet")
        network = EfficientNetB0(settings, (3, 32, 32), 10, tmp_path / "raw")
        assert torch.equal(network.trunk._conv_stem.weight, state["_conv_stem.weight"])
        (tmp_path / name).write_bytes(b"other")
        with pytest.raises(InputError, match=f"SHA-256 does not start with {digest[:8]}"):
            EfficientNetB0(settings, (3, 32, 32), 10, tmp_path / "raw")

    def test_a_missing_file_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            EfficientNetB0(Classifier(weights=str(tmp_path / "none.pth")), (3, 32, 32), 10, tmp_path)

    def test_weights_of_another_network_are_refused(self, tmp_path):
        torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
        with pytest.raises(InputError, match="does not fit EfficientNet-B0"):
            EfficientNetB0(Classifier(weights=str(tmp_path / "other.pth")), (3, 32, 32), 10, tmp_path)

    def test_a_pickle_that_executes_code_is_refused(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return open, (str(tmp_path / "sprung"), "w")

        torch.save({"a": Trap()}, tmp_path / "trap.pth")
        with pytest.raises(InputError, match="not a state dict of tensors"):
            EfficientNetB0(Classifier(weights=str(tmp_path / "trap.pth")), (3, 32, 32), 10, tmp_path)
        assert not (tmp_path / "sprung").exists()
