"""Penalties against their closed forms on linear critics, alone and through the update rules; LeCam's anchors."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from labelmint.gans import penalties
from labelmint.gans.objectives import DiscriminatorOutput, Wasserstein
from labelmint.gans.settings import Family
from labelmint.training.stacked import Stacked
from labelmint.training.updates import TRACKED, UPDATES, D, G, Real
from tests.stages.tiny import SHAPE as TINY
from tests.stages.tiny import batch, both, one_thread, single  # noqa: F401

RATE = 0.1
SHAPE = (1, 2, 2)
W = [3.0, 0.0, -4.0, 12.0]  # of length 13


def linear(weights: torch.Tensor, images: torch.Tensor, bias: float = 0.7) -> DiscriminatorOutput:
    """What D(x) = w.x + b says. weights: ([R,] C H W); images: ([R,] N, C, H, W), made to require their gradient."""
    images = images.clone().requires_grad_()
    outputs = images.flatten(-3) @ weights.unsqueeze(-1) + bias
    return DiscriminatorOutput(outputs, outputs[..., :0], outputs[..., :0], images)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestOnALinearCritic:
    @pytest.mark.parametrize("length", [0.0, 0.25, 1.0, 13.0])
    def test_the_gradient_is_its_weights_everywhere(self, length):
        weights = (torch.tensor(W) * (length / 13)).requires_grad_()
        said = linear(weights, noise(5, *SHAPE))
        one_centred, zero_centred = penalties.one_centred(said, 10.0), penalties.zero_centred(said, 0.4)
        assert one_centred.item() == pytest.approx(10 * (length - 1) ** 2, rel=1e-5, abs=1e-9)
        assert zero_centred.item() == pytest.approx(0.4 / 2 * length**2, rel=1e-5)
        # 20 (|w| - 1) w / |w|, and 0.4 w: finite even at 0
        (slope,) = torch.autograd.grad(one_centred, weights, retain_graph=True)
        expected = 20 * (length - 1) / 13 * torch.tensor(W) if length else torch.zeros(4)
        assert slope.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)
        (slope,) = torch.autograd.grad(zero_centred, weights)
        assert slope.tolist() == pytest.approx((0.4 * weights).tolist(), rel=1e-5)

    def test_replicas_side_by_side_each_pay_their_own(self):
        weights = torch.tensor([W, [0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
        said = linear(weights, noise(3, 5, *SHAPE))
        assert penalties.one_centred(said, 10.0).tolist() == pytest.approx([1440, 0, 10], abs=1e-3)
        assert penalties.zero_centred(said, 2.0).tolist() == pytest.approx([169, 1, 4], rel=1e-5)

    def test_each_image_pays_by_itself(self):
        """D(x) = |x|^2 / 2 has the gradient x: the mean of (|x| - 1)^2 is not that of the mean norm."""
        images = torch.zeros(2, *SHAPE)
        images[0, 0, 0, 0], images[1, 0, 1, 1] = 1.0, 3.0
        images.requires_grad_()
        outputs = images.flatten(1).square().sum(1, keepdim=True) / 2
        said = DiscriminatorOutput(outputs, outputs[:, :0], outputs[:, :0], images)
        assert penalties.input_gradient(said).tolist() == pytest.approx([1, 9])
        assert penalties.one_centred(said, 1.0).item() == pytest.approx((0 + 4) / 2)
        assert penalties.zero_centred(said, 1.0).item() == pytest.approx((1 + 9) / 4)


class Critic:
    """D(x) = w.x, G one image for all latents; steps are plain gradient descent. shown: all images that D was asked about."""

    def __init__(self, **family):
        self.family, self.objective, self.anchors = Family(**family), Wasserstein(), torch.tensor([0.0, 0.0])
        self.weights = {D: torch.tensor(W, requires_grad=True), G: torch.full(SHAPE, 0.5, requires_grad=True)}
        self.shown = []

    def generate(self, labels):
        return self.weights[G].expand(len(labels), *SHAPE), labels

    def augment(self, images):
        return images

    def uniform(self, count):
        return torch.arange(count) / count

    def discriminator(self, images, labels):
        self.shown.append(images.detach())
        return images.flatten(1) @ self.weights[D].unsqueeze(1)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].norm()

    def step(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def play(critic: Critic) -> tuple[dict[str, float], torch.Tensor]:
    """(tracked numbers, change of w) after a step on noise, without that of the objective itself."""
    real = noise(4, *SHAPE)
    before = critic.weights[D].detach().clone()
    tracked = UPDATES[critic.family.update](critic, Real(real, torch.zeros(4, 0)))
    plain = RATE * (real.mean(0) - 0.5).flatten()
    return dict(zip(TRACKED, tracked.tolist())), critic.weights[D].detach() - before - plain


class TestThroughTheUpdates:
    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    def test_gradient_penalty(self, update):
        tracked, moved = play(critic := Critic(update=update, gradient_penalty=10.0, discriminator=_without_norm()))
        assert tracked["penalty"] == pytest.approx(10 * 12**2, rel=1e-5)
        assert moved.tolist() == pytest.approx([-RATE * 20 * 12 / 13 * w for w in W], rel=1e-4, abs=1e-4)
        # between the real images and the minted ones, each at a place of its own
        real, minted = noise(4, *SHAPE), torch.full(SHAPE, 0.5)
        between = torch.stack([image + (minted - image) * place / 4 for place, image in enumerate(real)])
        assert sum(torch.allclose(images, between, atol=1e-6) for images in critic.shown) == 1

    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    @pytest.mark.parametrize(("r1", "r2"), [(0.4, 0.0), (0.0, 0.4), (0.3, 0.1)])
    def test_r1_and_r2(self, update, r1, r2):
        tracked, moved = play(Critic(update=update, r1=r1, r2=r2))
        assert tracked["penalty"] == pytest.approx((r1 + r2) / 2 * 169, rel=1e-5)
        assert moved.tolist() == pytest.approx([-RATE * (r1 + r2) * w for w in W], rel=1e-4, abs=1e-5)

    def test_r1_belongs_to_the_real_half_of_a_sequential_step_and_r2_to_the_minted_one(self):
        """w shrinks by 1 - RATE r1, then meets the minted images; what it pays there is that of the shrunken w."""
        real, w = noise(4, *SHAPE), torch.tensor(W)
        after = w + RATE * (real.mean(0).flatten() - 0.4 * w)
        tracked, _ = play(critic := Critic(update="sequential", r1=0.4, r2=0.2))
        assert tracked["penalty"] == pytest.approx(0.2 * 169 + 0.1 * after.square().sum().item(), rel=1e-5)
        after = after - RATE * (0.5 + 0.2 * after)
        assert critic.weights[D].tolist() == pytest.approx(after.tolist(), rel=1e-5)


def _without_norm():
    return replace(Family().discriminator, batch_norm=False)


class TestLeCam:
    said = linear(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([1.3, -0.7, 3.3]).view(3, 1, 1, 1).expand(3, *SHAPE))
    """2, 0 and 4."""

    def test_pays_for_saying_more_of_real_than_of_minted_before_and_the_reverse(self):
        anchors = torch.tensor([3.0, 1.0])  # of real, of minted
        assert self.said.logits.tolist() == pytest.approx([2, 0, 4])
        assert penalties.lecam_real(self.said, anchors, 0.5).item() == pytest.approx(0.5 * (1 + 0 + 9) / 3)
        assert penalties.lecam_fake(self.said, anchors, 0.5).item() == pytest.approx(0.5 * (1 + 9 + 0) / 3)

    def test_replicas_side_by_side_have_anchors_of_their_own(self):
        said = DiscriminatorOutput(*(torch.stack([part, part]) for part in self.said))
        anchors = torch.tensor([[3.0, 1.0], [-1.0, 4.0]])
        assert penalties.lecam_real(said, anchors, 3.0).tolist() == pytest.approx([10, 0], abs=1e-6)
        assert penalties.lecam_fake(said, anchors, 3.0).tolist() == pytest.approx([10, 0], abs=1e-6)

    @pytest.mark.parametrize("update", ["alternating", "simultaneous"])
    def test_anchors_are_moving_averages_and_what_was_said_before_is_what_counts(self, update):
        critic = Critic(update=update, lecam=0.5)
        anchors = [0.0, 0.0]
        for _ in range(3):
            tracked, _ = play(critic)
            real, fake = tracked["d_score_real"], tracked["d_score_fake"]
            # G's image says one thing, so the penalty of minted images is known from the anchors before the step
            of_fake = 0.5 * max(anchors[0] - fake, 0) ** 2
            of_real = tracked["penalty"] - of_fake
            assert of_real >= 0.5 * max(real - anchors[1], 0) ** 2 - 1e-4  # Jensen: the mean of squares
            anchors = [0.99 * anchors[0] + 0.01 * real, 0.99 * anchors[1] + 0.01 * fake]
            assert critic.anchors.tolist() == pytest.approx(anchors, rel=1e-5)
        assert abs(anchors[1]) > 0.1

    def test_its_gradient_reaches_d_through_what_it_says_now(self):
        """With anchors at 0 and w.x > 0 on real images only: w falls by weight 2 mean(relu(w.x) x)."""
        real, critic = noise(4, *SHAPE), Critic(update="alternating", lecam=0.5)
        said = (real.flatten(1) @ torch.tensor(W)).clamp(min=0)
        fake = max(-0.5 * sum(W), 0.0)
        assert fake == 0 and (said > 0).any()
        tracked, moved = play(critic)
        expected = -RATE * 0.5 * 2 * (said[:, None] * real.flatten(1)).mean(0)
        assert tracked["penalty"] == pytest.approx(0.5 * said.square().mean().item(), rel=1e-5)
        assert moved.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-4)

    def test_nothing_is_remembered_without_it(self):
        play(critic := Critic(update="alternating"))
        assert critic.anchors.tolist() == [0, 0]


class TestOfRealNetworks:
    @pytest.mark.parametrize(
        ("name", "changes"),
        [("wgan_gp", {}), ("r3gan", {}), ("dcgan", {"lecam": 0.3}), ("projection_cgan", {"r1": 1.0, "lecam": 1.0})],
    )
    def test_the_penalty_that_a_stack_pays_is_that_of_each_alone(self, name, changes):
        """Two steps, the second with anchors, of two replicas: the same numbers and weights as one by one."""
        apart = [single(name, seed, **changes) for seed in (1, 2)]
        stack = Stacked([single(name, seed, **changes) for seed in (1, 2)])
        for number in range(2):
            batches = [batch(apart[0].family, 4, seed=10 * number + place) for place in (0, 1)]
            for one, given in zip(apart, batches):
                one.train_step(number, given, 1.0, 0.5)
            stack.train_step(number, both(*batches), 1.0, 0.5)
        for position, one in enumerate(apart):
            assert stack.sums[position].tolist() == pytest.approx(one.sums.tolist(), rel=2e-3, abs=1e-4)
            assert stack.anchors[position].tolist() == pytest.approx(one.anchors.tolist(), rel=1e-3, abs=1e-7)
            assert one.sums[TRACKED.index("penalty")] > 0

    def test_one_centred_of_a_network_is_what_finite_differences_say(self):
        """No layer mixes images, so the slope along the gradient is that of each image's own output."""
        network, nothing = single("wgan_gp").networks[D], torch.zeros(3, 0)
        images = noise(3, *TINY, seed=3).requires_grad_()
        outputs = network(images, nothing)
        said = DiscriminatorOutput(outputs, nothing, nothing, images)
        (gradient,) = torch.autograd.grad(outputs.sum(), images, retain_graph=True)
        paid = penalties.one_centred(said, 10.0)
        direction = (gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).double()
        exact, step = deepcopy(network).double(), 1e-6
        with torch.no_grad():
            ahead, behind = (exact(images.double() + way * step * direction, nothing) for way in (1, -1))
        norms = ((ahead - behind) / (2 * step)).flatten()
        assert paid.item() == pytest.approx(10 * (norms - 1).square().mean().item(), rel=1e-4)
        assert norms.min() > 0 and norms.std() > 0
