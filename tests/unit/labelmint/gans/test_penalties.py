"""Penalties against their closed forms on linear critics, and against finite differences."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from labelmint.gans import penalties
from labelmint.gans.objectives import DiscriminatorOutput
from labelmint.training.updates import D
from tests.tiny_families import SHAPE as TINY
from tests.tiny_families import one_thread, single  # noqa: F401

SHAPE = (1, 2, 2)
W = [3.0, 0.0, -4.0, 12.0]  # of length 13


def linear(weights: torch.Tensor, images: torch.Tensor, bias: float = 0.7) -> DiscriminatorOutput:
    """D(x) = w.x + b. weights: ([R,] C H W). images: ([R,] N, C, H, W), whose gradient is tracked."""
    images = images.clone().requires_grad_()
    outputs = images.flatten(-3) @ weights.unsqueeze(-1) + bias
    return DiscriminatorOutput(outputs, outputs[..., :0], outputs[..., :0], images)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestOnALinearCritic:
    @pytest.mark.parametrize("length", [0.0, 0.25, 1.0, 13.0])
    def test_the_gradient_equals_the_weights_everywhere(self, length):
        weights = (torch.tensor(W) * (length / 13)).requires_grad_()
        output = linear(weights, noise(5, *SHAPE))
        one_centred, zero_centred = penalties.one_centred(output, 10.0), penalties.zero_centred(output, 0.4)
        assert one_centred.item() == pytest.approx(10 * (length - 1) ** 2, rel=1e-5, abs=1e-9)
        assert zero_centred.item() == pytest.approx(0.4 / 2 * length**2, rel=1e-5)
        # 20 (|w| - 1) w / |w|, and 0.4 w: finite even at 0
        (slope,) = torch.autograd.grad(one_centred, weights, retain_graph=True)
        expected = 20 * (length - 1) / 13 * torch.tensor(W) if length else torch.zeros(4)
        assert slope.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)
        (slope,) = torch.autograd.grad(zero_centred, weights)
        assert slope.tolist() == pytest.approx((0.4 * weights).tolist(), rel=1e-5)

    def test_penalties_are_per_image(self):
        """D(x) = |x|^2 / 2 has the gradient x: the mean of (|x| - 1)^2 is not that of the mean norm."""
        images = torch.zeros(2, *SHAPE)
        images[0, 0, 0, 0], images[1, 0, 1, 1] = 1.0, 3.0
        images.requires_grad_()
        outputs = images.flatten(1).square().sum(1, keepdim=True) / 2
        output = DiscriminatorOutput(outputs, outputs[:, :0], outputs[:, :0], images)
        assert penalties.input_gradient(output).tolist() == pytest.approx([1, 9])
        assert penalties.one_centred(output, 1.0).item() == pytest.approx((0 + 4) / 2)
        assert penalties.zero_centred(output, 1.0).item() == pytest.approx((1 + 9) / 4)


class TestLeCam:
    output = linear(
        torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([1.3, -0.7, 3.3]).view(3, 1, 1, 1).expand(3, *SHAPE)
    )
    """Logits 2, 0 and 4."""

    def test_distances_from_the_other_anchor_in_the_wrong_direction_count(self):
        anchors = torch.tensor([3.0, 1.0, 8.0])  # real, generated, steps
        assert self.output.logits.tolist() == pytest.approx([2, 0, 4])
        for start, factor in ((0, 1), (7, 1), (8, 0)):
            real = penalties.lecam_real(self.output, anchors, 0.5, start).item()
            fake = penalties.lecam_fake(self.output, anchors, 0.5, start).item()
            assert real == pytest.approx(factor * 0.5 * (1 + 0 + 9) / 3)
            assert fake == pytest.approx(factor * 0.5 * (1 + 9 + 0) / 3)

    def test_anchors_of_constant_logits_are_these_from_the_first_step(self):
        anchors = torch.zeros(3)
        for steps in range(1, 6):
            penalties.update_anchors(anchors, linear(torch.zeros(4), noise(3, *SHAPE), 2.0), self.output, 0)
            assert anchors.tolist() == pytest.approx([2, 2, steps], rel=1e-5)

    @pytest.mark.parametrize(("start", "expected"), [(0, 3.99 / 1.99), (1, 3.99 / 1.99), (2, 3)])
    def test_anchors_forget_the_steps_before_the_start(self, start, expected):
        """Logits 1 and 3: their average (0.99 x 1 + 3) / 1.99, or the last."""
        anchors = torch.zeros(3)
        for logit in (1.0, 3.0):
            output = linear(torch.zeros(4), noise(3, *SHAPE), logit)
            penalties.update_anchors(anchors, output, output, start)
        assert anchors.tolist() == pytest.approx([expected, expected, 2], rel=1e-5)


def test_one_centred_agrees_with_finite_differences():
    """No layer mixes images, so the slope along the gradient is that of each image's output."""
    network, nothing = single("wgan_gp").networks[D], torch.zeros(3, 0)
    images = noise(3, *TINY, seed=3).requires_grad_()
    outputs = network(images, nothing)
    output = DiscriminatorOutput(outputs, nothing, nothing, images)
    (gradient,) = torch.autograd.grad(outputs.sum(), images, retain_graph=True)
    penalty = penalties.one_centred(output, 10.0)
    direction = (gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).double()
    exact, step = deepcopy(network).double(), 1e-6
    with torch.no_grad():
        plus, minus = (exact(images.double() + sign * step * direction, nothing) for sign in (1, -1))
    norms = ((plus - minus) / (2 * step)).flatten()
    assert penalty.item() == pytest.approx(10 * (norms - 1).square().mean().item(), rel=1e-4)
    assert norms.min() > 0
    assert norms.std() > 0
