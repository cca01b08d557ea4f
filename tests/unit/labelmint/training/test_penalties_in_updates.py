"""Penalties within the update rules: closed forms on linear critics, LeCam's anchors, stacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from labelmint.gans.objectives import Wasserstein
from labelmint.gans.settings import Family
from labelmint.training.updates import TRACKED, UPDATES, D, G, Gan, Real

RATE = 0.1
SHAPE = (1, 2, 2)
W = [3.0, 0.0, -4.0, 12.0]  # of length 13


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Critic(Gan):
    """D(x) = w.x and a constant G, with plain gradient descent. shown: the batches that D received.

    factor: what the augmentation multiplies images with.
    """

    def __init__(self, factor=1, **family):
        self.factor = factor
        self.family, self.objective, self.anchors = Family(**family), Wasserstein(), torch.zeros(3)
        self.weights = {D: torch.tensor(W, requires_grad=True), G: torch.full(SHAPE, 0.5, requires_grad=True)}
        self.shown = []

    def generate(self, labels):
        return self.weights[G].expand(len(labels), *SHAPE), labels

    def augment(self, images):
        return self.factor * images

    def uniform(self, count):
        return torch.arange(count) / count

    def discriminator(self, images, labels):
        self.shown.append(images.detach())
        return images.flatten(1) @ self.weights[D].unsqueeze(1)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].norm()

    def update_weights(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def play(critic: Critic) -> tuple[dict[str, float], torch.Tensor]:
    """(tracked numbers, change of w beyond that by the objective) of a step on noise."""
    real = noise(4, *SHAPE)
    before = critic.weights[D].detach().clone()
    tracked = UPDATES[critic.family.update](critic, Real(real, torch.zeros(4, 0)))
    plain = RATE * (real.mean(0) - 0.5).flatten()
    return dict(zip(TRACKED, tracked.tolist())), critic.weights[D].detach() - before - plain


class TestThroughTheUpdates:
    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    def test_gradient_penalty(self, update):
        tracked, moved = play(
            critic := Critic(update=update, gradient_penalty=10.0, discriminator=_without_norm())
        )
        assert tracked["penalty"] == pytest.approx(10 * 12**2, rel=1e-5)
        assert moved.tolist() == pytest.approx([-RATE * 20 * 12 / 13 * w for w in W], rel=1e-4, abs=1e-4)
        # between each real and its generated image, at uniform numbers 0, 1/4, 2/4 and 3/4
        real, fake = noise(4, *SHAPE), torch.full(SHAPE, 0.5)
        between = torch.stack([image + (fake - image) * number / 4 for number, image in enumerate(real)])
        assert sum(torch.allclose(images, between, atol=1e-6) for images in critic.shown) == 1

    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    @pytest.mark.parametrize(("r1", "r2"), [(0.4, 0.0), (0.0, 0.4), (0.3, 0.1)])
    def test_r1_and_r2(self, update, r1, r2):
        tracked, moved = play(Critic(update=update, r1=r1, r2=r2))
        assert tracked["penalty"] == pytest.approx((r1 + r2) / 2 * 169, rel=1e-5)
        assert moved.tolist() == pytest.approx([-RATE * (r1 + r2) * w for w in W], rel=1e-4, abs=1e-5)

    @pytest.mark.parametrize("weight", ["r1", "r2", "gradient_penalty"])
    def test_gradients_are_taken_at_the_image_before_its_augmentation(self, weight):
        """An augmentation that doubles images doubles the gradient, whose norm becomes 26."""
        family = {weight: 0.4, "update": "alternating", "discriminator": _without_norm()}
        tracked, _ = play(Critic(factor=2, **family))
        expected = 0.4 * 25**2 if weight == "gradient_penalty" else 0.4 / 2 * 26**2
        assert tracked["penalty"] == pytest.approx(expected, rel=1e-5)

    def test_sequential_steps_apply_r1_on_real_and_then_r2_on_generated_images(self):
        """R2 is that of the weights after the real step."""
        real, w = noise(4, *SHAPE), torch.tensor(W)
        after = w + RATE * (real.mean(0).flatten() - 0.4 * w)
        tracked, _ = play(critic := Critic(update="sequential", r1=0.4, r2=0.2))
        assert tracked["penalty"] == pytest.approx(0.2 * 169 + 0.1 * after.square().sum().item(), rel=1e-5)
        after = after - RATE * (0.5 + 0.2 * after)
        assert critic.weights[D].tolist() == pytest.approx(after.tolist(), rel=1e-5)


def _without_norm():
    return replace(Family().discriminator, batch_norm=False)


class TestLeCam:
    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    def test_anchors_are_moving_averages_of_the_steps_before(self, update):
        critic = Critic(update=update, lecam=0.5)
        real_scores, fake_scores = [], []
        for steps in range(3):
            anchors = critic.anchors.tolist()
            tracked, _ = play(critic)
            real_scores.append(tracked["d_score_real"])
            fake_scores.append(tracked["d_score_fake"])
            # G is constant, so the penalty on generated images follows from the anchors before the step.
            fake_penalty = 0.5 * max(anchors[0] - fake_scores[-1], 0) ** 2 if steps else 0
            real_penalty = tracked["penalty"] - fake_penalty
            least = 0.5 * max(real_scores[-1] - anchors[1], 0) ** 2 if steps else 0
            assert real_penalty >= least - 1e-4  # by Jensen's inequality
            weights = [0.99 ** (steps - each) for each in range(steps + 1)]
            expected = [_average(scores, weights) for scores in (real_scores, fake_scores)]
            assert critic.anchors.tolist() == pytest.approx([*expected, steps + 1], rel=1e-5)
        assert len(set(fake_scores)) == 3

    def test_its_gradient_is_that_of_the_current_logits(self):
        """With anchors at 0 and w.x > 0 on real images only, w falls by weight 2 mean(relu(w.x) x)."""
        real, critic = noise(4, *SHAPE), Critic(update="alternating", lecam=0.5)
        critic.anchors[2] = 1
        output = (real.flatten(1) @ torch.tensor(W)).clamp(min=0)
        fake = max(-0.5 * sum(W), 0.0)
        assert fake == 0
        assert (output > 0).any()
        tracked, moved = play(critic)
        expected = -RATE * 0.5 * 2 * (output[:, None] * real.flatten(1)).mean(0)
        assert tracked["penalty"] == pytest.approx(0.5 * output.square().mean().item(), rel=1e-5)
        assert moved.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)

    def test_without_it_anchors_stay_0(self):
        play(critic := Critic(update="alternating"))
        assert critic.anchors.tolist() == [0, 0, 0]


def _average(values: list[float], weights: list[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights)) / sum(weights)
