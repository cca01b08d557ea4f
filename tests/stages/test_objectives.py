"""Objectives at points worked out by hand, the alternating rule, and what health makes of a D that is always right."""

from __future__ import annotations

import math

import pytest
import torch

from labelmint.gans import registry
from labelmint.gans.objectives import Auxiliary, Hinge, DiscriminatorOutput, NonSaturating, Objective, Relativistic, Wasserstein
from labelmint.gans.settings import Family
from labelmint.training import health
from labelmint.training.health import Monitor
from labelmint.training.updates import TRACKED, D, G, Real, alternating
from tests.stages.tiny import FAMILIES

RATE = 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def judged(outputs: list, labels: list | None = None) -> DiscriminatorOutput:
    """outputs: (N, heads); labels: (N, K)."""
    said = torch.tensor(outputs)
    told = torch.zeros(len(said), 0) if labels is None else torch.tensor(labels)
    return DiscriminatorOutput(said, told, told, torch.zeros(len(said), 1, 1, 1))


class TestValues:
    real, fake = judged([[2.0], [-1.0]]), judged([[0.5], [1.5]])

    @pytest.mark.parametrize(
        ("objective", "of_real", "of_fake", "of_g"),
        [
            # softplus(-x) + s x on real, softplus(x) on fake, softplus(-x) for G
            (NonSaturating(), (softplus(-2) + softplus(1)) / 2, (softplus(0.5) + softplus(1.5)) / 2, (softplus(-0.5) + softplus(-1.5)) / 2),
            (NonSaturating(0.2), (softplus(-2) + softplus(1)) / 2 + 0.2 * 0.5, (softplus(0.5) + softplus(1.5)) / 2, (softplus(-0.5) + softplus(-1.5)) / 2),
            (Hinge(), (0 + 2) / 2, (1.5 + 2.5) / 2, -1.0),
            (Wasserstein(), -0.5, 1.0, -1.0),
            # pairs differ by 2 - 0.5 and -1 - 1.5
            (Relativistic(), (softplus(-1.5) + softplus(2.5)) / 4, (softplus(-1.5) + softplus(2.5)) / 4, (softplus(1.5) + softplus(-2.5)) / 2),
        ],
    )  # fmt: skip
    def test_of_both_players(self, objective: Objective, of_real, of_fake, of_g):
        losses = [*objective.discriminator(self.real, self.fake), objective.against(self.fake, self.real)]
        assert [loss.item() for loss in losses] == pytest.approx([of_real, of_fake, of_g], rel=1e-6)

    @pytest.mark.parametrize(
        "objective",
        [NonSaturating(0.1), Hinge(), Wasserstein(), Relativistic(), Auxiliary(Hinge()), Auxiliary(Hinge(), True)],
    )
    def test_of_replicas_side_by_side_are_those_of_each_alone(self, objective):
        rng = torch.Generator().manual_seed(0)
        outputs = torch.randn(2, 3, 5, 4, generator=rng)  # real and fake, of three replicas
        labels = torch.eye(3)[torch.randint(0, 3, (3, 5), generator=rng)]
        real, fake = (DiscriminatorOutput(each, labels, labels, outputs[0]) for each in outputs)
        together = [*objective.discriminator(real, fake), objective.against(fake, real)]
        for place in range(3):
            one, other = (DiscriminatorOutput(*(part[place] for part in each)) for each in (real, fake))
            alone = [*objective.discriminator(one, other), objective.against(other, one)]
            assert [loss[place].item() for loss in together] == pytest.approx([loss.item() for loss in alone], rel=1e-5)


class TestAuxiliary:
    def test_classes_pay_the_logarithm_of_their_softmax(self):
        """Logits log 1, log 2, log 5: shares 1/8, 1/4, 5/8. The first image is of the last class, the second of the first."""
        logits = [0.0, math.log(2), math.log(5)]
        said = judged([[2.0, *logits], [-2.0, *logits]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
        told = (math.log(8 / 5) + math.log(8)) / 2
        objective = Auxiliary(Hinge(), weight=3.0, generator_weight=0.5)
        assert objective.real(said).item() == pytest.approx((0 + 3) / 2 + 3 * told, rel=1e-6)
        assert objective.fake(said).item() == pytest.approx((3 + 0) / 2 + 3 * told, rel=1e-6)
        assert objective.generator(said).item() == pytest.approx(0 + 0.5 * told, rel=1e-6)

    def test_attributes_pay_for_each_of_them(self):
        """A mean over attributes: their number does not weigh them against the source."""
        said = judged([[0.0, math.log(3), 0.0]], [[1.0, 0.0]])  # chances 3/4 and 1/2
        told = (math.log(4 / 3) + math.log(2)) / 2
        assert Auxiliary(Wasserstein(), True).classification(said).item() == pytest.approx(told, rel=1e-6)
        assert Auxiliary(Wasserstein(), True, generator_weight=4).generator(said).item() == pytest.approx(4 * told)

    def test_g_and_d_want_the_labels_told_alike(self):
        """G does not play against the classifier: its gradient points the way of D's."""
        outputs = torch.zeros(1, 3, requires_grad=True)
        labels = torch.tensor([[1.0, 0.0]])
        said = DiscriminatorOutput(outputs, labels, labels, outputs)
        objective = Auxiliary(NonSaturating())
        gradients = [torch.autograd.grad(loss, outputs)[0] for loss in (objective.fake(said), objective.generator(said))]  # fmt: skip
        assert gradients[0].tolist() == [[0.5, -0.5, 0.5]] and gradients[1].tolist() == [[-0.5, -0.5, 0.5]]


class Game:
    """One weight each: G makes g * z, D answers d * x, and steps are plain gradient descent. `latents` are drawn in turn."""

    def __init__(self, g: float, d: float, latents: list[float], objective: Objective, **family):
        self.weights = {G: torch.tensor(g, requires_grad=True), D: torch.tensor(d, requires_grad=True)}
        self.objective, self.family, self.anchors = objective, Family(update="alternating", **family), torch.zeros(2)
        self.drawn = iter(latents)

    def generate(self, labels):
        return (self.weights[G] * torch.full((len(labels),), next(self.drawn))).view(-1, 1, 1, 1), labels

    def augment(self, images):
        return images

    def discriminator(self, images, labels):
        return self.weights[D] * images.flatten(1)

    def gradients(self, player, loss, retain=False):
        return list(torch.autograd.grad(loss, [self.weights[player]], retain_graph=retain))

    def norm(self, gradients):
        return gradients[0].abs()

    def step(self, player, gradients):
        with torch.no_grad():
            self.weights[player] -= RATE * gradients[0]


def real(*values: float) -> Real:
    return Real(torch.tensor(values).view(-1, 1, 1, 1), torch.zeros(len(values), 0))


class TestAlternating:
    def test_d_learns_from_both_at_once_and_g_through_the_updated_d(self):
        players = Game(0.7, 0.4, [2.0, 3.0], NonSaturating())
        tracked = dict(zip(TRACKED, alternating(players, real(1.5)).tolist()))
        fake = 0.7 * 2
        after_d = 0.4 - RATE * (-(1 - sigmoid(0.4 * 1.5)) * 1.5 + sigmoid(0.4 * fake) * fake)
        logit = after_d * 0.7 * 3
        assert players.weights[D].item() == pytest.approx(after_d, rel=1e-6)
        assert players.weights[G].item() == pytest.approx(0.7 + RATE * (1 - sigmoid(logit)) * after_d * 3, rel=1e-6)
        assert tracked["d_loss_fake"] == pytest.approx(softplus(0.4 * fake), rel=1e-6)  # by D before its step
        assert tracked["g_loss"] == pytest.approx(softplus(-logit), rel=1e-6)

    def test_a_critic_takes_its_steps_on_real_images_of_its_own(self):
        """Wasserstein's d: grows by RATE (real - fake) each step; real images are 2, then 5; fakes 0.5 z."""
        players = Game(0.5, 0.0, [1.0, 2.0, 4.0], Wasserstein(), n_critic=2)
        alternating(players, real(2.0, 5.0))
        d = RATE * (2 - 0.5) + RATE * (5 - 1)
        assert players.weights[D].item() == pytest.approx(d) and players.weights[G].item() == pytest.approx(0.5 + RATE * d * 4)  # fmt: skip

    def test_relativistic_players_meet_fresh_fakes_beside_the_same_real_images(self):
        players = Game(0.5, 0.4, [1.0, 2.0], Relativistic())
        alternating(players, real(3.0))
        after_d = 0.4 + RATE * sigmoid(0.4 * (0.5 - 3)) * (3 - 0.5)
        after_g = 0.5 + RATE * sigmoid(after_d * (3 - 1)) * after_d * 2
        assert players.weights[D].item() == pytest.approx(after_d, rel=1e-6)
        assert players.weights[G].item() == pytest.approx(after_g, rel=1e-6)


class TestAlwaysRight:
    images = torch.arange(64, dtype=torch.uint8).view(-1, 1, 1, 1).expand(64, 1, 8, 8)
    row = {"d_acc_real": 1.0, "d_acc_fake": 1.0, "g_gradient": 1.0, "g_loss": 5.0}

    @pytest.mark.parametrize(
        ("name", "verdict"),
        [
            *((name, health.SATURATED) for name in ("dcgan", "cgan", "acgan", "attribute_cgan", "fairness_gan")),
            *((name, health.OK) for name in ("projection_cgan", "wgan", "wgan_gp", "r3gan")),
        ],
    )
    def test_is_an_ailment_only_where_it_leaves_g_no_gradient(self, name, verdict):
        monitor = Monitor(1.0, registry.load(name).objective(FAMILIES[name]).saturates)
        assert [monitor.evaluate(self.row, self.images, progress)[1] for progress in (0.5, 0.6, 0.7)] == [verdict] * 3
        assert monitor.failed == (verdict != health.OK)

    def test_a_wasserstein_critic_is_still_watched_for_all_else(self):
        monitor = Monitor(1.0, Wasserstein().saturates)
        assert monitor.evaluate(self.row, self.images, 0.5)[1] == health.OK
        assert monitor.evaluate(self.row | {"g_gradient": 1e-4}, self.images, 0.5)[1] == health.VANISHING
        assert monitor.evaluate(self.row, self.images[:1].expand(64, -1, -1, -1), 0.5)[1] == health.COLLAPSED
        assert monitor.evaluate(self.row | {"penalty": math.inf}, self.images, 0.5)[1] == health.NOT_FINITE
