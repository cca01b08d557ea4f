"""The fairness GAN: its losses on toy sets whose answer is known, and what each part of its networks may depend on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from labelmint.families import fairness_gan
from labelmint.families.fairness_gan import FairDiscriminator, FairGenerator
from labelmint.gans import registry
from labelmint.gans.initialization import initialize
from labelmint.gans.objectives import DiscriminatorOutput
from labelmint.runtime.errors import InputError
from tests.stages.tiny import FAMILIES, one_thread  # noqa: F401

PARITY = FAMILIES["fairness_gan"]
OPPORTUNITY = replace(PARITY, fairness="equality_of_opportunity")
SHAPE = (3, 16, 16)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def entropy(p: float) -> float:
    """Of a coin, in nats."""
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def judged(outputs: list[list[float]], labels: list[list[float]], requested: list[list[float]] | None = None) -> DiscriminatorOutput:
    """outputs: X real, (X, Y) real, C by X, C by Y. labels: C, Y."""
    given = torch.tensor(labels)
    asked = given if requested is None else torch.tensor(requested)
    return DiscriminatorOutput(torch.tensor(outputs), given, asked, torch.zeros(len(labels), 1, 1, 1))


def pairs(share: float, count: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """A toy set: C and Y, half each, where Y = C for `share` of the images."""
    protected = torch.arange(count) % 2
    agrees = torch.arange(count) // 2 < share * count / 2
    return protected.float(), torch.where(agrees, protected, 1 - protected).float()


class TestLosses:
    one = judged([[2.0, -1.0, 0.5, 3.0]], [[1.0, 0.0]])

    def test_of_one_image_by_hand(self):
        objective = fairness_gan.objective(replace(PARITY, fairness_weight=0.5, auxiliary_weight=2.0, auxiliary_weight_generator=3.0))  # fmt: skip
        shown, betrayed = softplus(-0.5), softplus(-3.0)  # C is 1
        assert objective.real(self.one).item() == pytest.approx((softplus(-2) + softplus(1)) / 2 + 2 * shown, rel=1e-6)
        assert objective.fake(self.one).item() == pytest.approx((softplus(2) + softplus(-1)) / 2 + 2 * shown + betrayed, rel=1e-6)  # fmt: skip
        expected = (softplus(-2) + softplus(1)) / 2 + 3 * shown - 0.5 * betrayed
        assert objective.generator(self.one).item() == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
    def test_what_the_outcome_betrays_is_the_entropy_that_is_left_of_c(self, share):
        """D's best answer to Y is the log odds of C; its loss is then H(C | Y), log 2 for an outcome that tells nothing."""
        protected, outcome = pairs(share)
        best = math.log(share / (1 - share)) if share < 1 else 20.0
        answers = ((2 * outcome - 1) * best).requires_grad_()
        said = DiscriminatorOutput(torch.stack([torch.zeros(1000)] * 3 + [answers], 1), torch.stack([protected, outcome], 1), torch.stack([protected, outcome], 1), answers)  # fmt: skip
        loss = fairness_gan.objective(PARITY).leakage(said)
        assert loss.item() == pytest.approx(entropy(share), rel=1e-5)
        (slope,) = torch.autograd.grad(loss, answers)
        assert abs(slope[outcome == 1].sum().item()) < 1e-6  # no other answer does better

    def test_equality_of_opportunity_counts_those_alone_whose_true_outcome_is_1(self):
        outputs = [[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, 9.0]]
        said = judged(outputs, [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], requested=[[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        among = fairness_gan.objective(OPPORTUNITY).leakage(said).item()
        assert among == pytest.approx((softplus(-2) + softplus(1)) / 2, rel=1e-6)
        everyone = fairness_gan.objective(PARITY).leakage(said).item()
        assert everyone == pytest.approx((softplus(-2) + softplus(1) + softplus(9)) / 3, rel=1e-6)
        nobody = judged(outputs, [[1.0, 1.0]] * 3, requested=[[1.0, 0.0]] * 3)
        assert fairness_gan.objective(OPPORTUNITY).leakage(nobody).item() == 0

    def test_g_wants_the_outcome_not_to_tell(self):
        """Where D reads C = 1 from Y, G's gradient pulls the answer for C = 1 down and that for C = 0 up."""
        outputs = torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, -1.0]], requires_grad=True)
        labels = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        (slope,) = torch.autograd.grad(fairness_gan.objective(PARITY).generator(DiscriminatorOutput(outputs, labels, labels, outputs)), outputs)  # fmt: skip
        assert slope[0, 3] > 0 > slope[1, 3]


@pytest.fixture
def generator() -> FairGenerator:
    network = fairness_gan.build_generator(PARITY, SHAPE, 3)
    initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
    return network


class TestGenerator:
    latents = torch.randn(40, PARITY.latent_size, generator=torch.Generator().manual_seed(1))
    asked = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).repeat(20, 1)

    def test_makes_its_own_outcome_and_keeps_all_other_labels(self, generator):
        images, labels = generator(self.latents, self.asked)
        assert images.shape == (40, *SHAPE)
        assert torch.equal(labels[:, [0, 2]], self.asked[:, [0, 2]]) and set(labels[:, 1].tolist()) == {0.0, 1.0}

    def test_for_parity_the_true_outcome_is_not_told_and_for_opportunity_it_is(self, generator):
        other = self.asked.clone()
        other[:, 1] = 1 - other[:, 1]
        first, second = generator(self.latents, self.asked), generator(self.latents, other)
        assert torch.equal(first[0], second[0]) and torch.equal(first[1][:, 1], second[1][:, 1])
        told = fairness_gan.build_generator(OPPORTUNITY, SHAPE, 3)
        initialize(told, "normal", torch.Generator().manual_seed(0))
        assert not torch.equal(told(self.latents, self.asked)[0], told(self.latents, other)[0])

    def test_its_outcome_is_hard_with_the_slope_of_its_share(self, generator):
        labels = generator(self.latents, self.asked)[1]
        (slope,) = torch.autograd.grad(labels[:, 1].sum(), generator.outcome[-1].bias)
        with torch.no_grad():
            condition = self.asked[:, :1]
            entered = generator.entry(self.latents, condition)
            share = torch.sigmoid(generator.outcome(torch.cat([entered, condition], 1)))
        assert torch.equal(labels[:, 1], (share[:, 0] > 0.5).float())
        assert slope.item() == pytest.approx((share * (1 - share)).sum().item(), rel=1e-4)


@pytest.mark.parametrize("condition", ["projection", "channel"])
class TestDiscriminator:
    images = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 1)

    def network(self, condition: str) -> FairDiscriminator:
        params = replace(PARITY.discriminator, condition=condition, spectral_norm=False)
        network = fairness_gan.build_discriminator(replace(PARITY, discriminator=params), SHAPE, 2)
        initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
        return network.requires_grad_(False)

    def test_each_head_sees_what_is_its_own(self, condition):
        """S(X) and C(X) the image alone, C(Y) the outcome alone, S(X, Y) both; nobody is told C."""
        network = self.network(condition)
        said = network(self.images, self.labels)
        assert said.shape == (6, 4)
        other_outcome, other_protected = self.labels.clone(), self.labels.clone()
        other_outcome[:, 1], other_protected[:, 0] = 1 - self.labels[:, 1], 1 - self.labels[:, 0]
        changed = network(self.images, other_outcome)
        assert [torch.equal(said[:, head], changed[:, head]) for head in range(4)] == [True, False, True, False]
        assert torch.equal(said, network(self.images, other_protected))
        changed = network(self.images.flip(0), self.labels)
        assert [torch.equal(said[:, head], changed[:, head]) for head in range(4)] == [False, False, False, True]

    def test_the_joint_head_by_its_formula(self, condition):
        network = self.network(condition)
        maps = network.trunk(self.images, self.labels[:, :0], None)
        features, sign = maps.permute(0, 2, 3, 1).flatten(1), 2 * self.labels[:, 1:2] - 1
        if condition == "projection":
            expected = network.joint(features)[:, 0] + (features * (sign * network.projection.weight[:, 0])).sum(1)
        else:
            spread = network.spread(self.labels[:, 1:2]).unflatten(1, (maps.shape[2], maps.shape[3], -1)).permute(0, 3, 1, 2)  # fmt: skip
            both = network.together(torch.cat([maps, spread], 1))
            assert both.shape[1] == maps.shape[1] // 2
            expected = network.joint(both.permute(0, 2, 3, 1).flatten(1))[:, 0]
        assert torch.allclose(network(self.images, self.labels)[:, 1], expected, atol=1e-5)


class TestSettings:
    @pytest.mark.parametrize(
        ("changes", "names", "says"),
        [
            ({"fairness": "none"}, ["Male", "Smiling"], "needs fairness: demographic_parity or"),
            ({}, ["Smiling", "Male"], "must begin with `protected` and `outcome`, Male and Smiling"),
            ({"generator": FAMILIES["attribute_cgan"].generator}, ["Male", "Smiling"], "needs kind: resnet"),
            ({"discriminator": replace(PARITY.discriminator, condition="merge", units=[4])}, ["Male", "Smiling"], "projection, or channel"),
        ],
    )  # fmt: skip
    def test_that_do_not_fit_are_refused_in_one_line(self, changes, names, says):
        with pytest.raises(InputError, match=says) as error:
            registry.check("fairness_gan", replace(PARITY, **changes), names)
        assert str(error.value).startswith("families.fairness_gan: ") and "\n" not in str(error.value)
