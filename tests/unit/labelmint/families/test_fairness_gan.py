"""The fairness GAN: losses with known logits, and what each part of its networks depends on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from labelmint.families import fairness_gan
from labelmint.families.fairness_gan import FairDiscriminator, FairGenerator
from labelmint.gans import registry
from labelmint.gans.initialization import initialize
from labelmint.gans.objectives import DiscriminatorOutput
from labelmint.runtime.errors import InputError
from tests.tiny_families import FAMILIES, one_thread  # noqa: F401

PARITY = FAMILIES["fairness_gan"]
OPPORTUNITY = replace(PARITY, fairness="equality_of_opportunity")
SHAPE = (3, 16, 16)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def entropy(p: float) -> float:
    """Entropy of a coin, in nats."""
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def output_of(
    outputs: list[list[float]], labels: list[list[float]], requested: list[list[float]] | None = None
) -> DiscriminatorOutput:
    """outputs: X real, (X, Y) real, C from X, C from Y. labels: C, Y."""
    given = torch.tensor(labels)
    wanted = given if requested is None else torch.tensor(requested)
    return DiscriminatorOutput(torch.tensor(outputs), given, wanted, torch.zeros(len(labels), 1, 1, 1))


def pairs(fraction: float, count: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """A toy set: C and Y, half each, where Y = C for a fraction of the images."""
    protected = torch.arange(count) % 2
    agrees = torch.arange(count) // 2 < fraction * count / 2
    return protected.float(), torch.where(agrees, protected, 1 - protected).float()


class TestLosses:
    one = output_of([[2.0, -1.0, 0.5, 3.0]], [[1.0, 0.0]])

    def test_one_image_by_hand(self):
        objective = fairness_gan.objective(
            replace(PARITY, fairness_weight=0.5, auxiliary_weight=2.0, auxiliary_weight_generator=3.0)
        )
        from_x, from_y = softplus(-0.5), softplus(-3.0)  # cross-entropies of C = 1
        assert objective.real(self.one).item() == pytest.approx(
            (softplus(-2) + softplus(1)) / 2 + 2 * from_x, rel=1e-6
        )
        assert objective.fake(self.one).item() == pytest.approx(
            (softplus(2) + softplus(-1)) / 2 + 2 * from_x + from_y, rel=1e-6
        )
        expected = (softplus(-2) + softplus(1)) / 2 + 3 * from_x - 0.5 * from_y
        assert objective.generator(self.one).item() == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("fraction", [0.5, 0.75, 0.9])
    def test_the_leakage_is_at_best_the_conditional_entropy_of_c(self, fraction):
        """D's best logit is the log odds of C given Y. Its loss is then H(C | Y), log 2 if Y is useless."""
        protected, outcome = pairs(fraction)
        best = math.log(fraction / (1 - fraction))
        logits = ((2 * outcome - 1) * best).requires_grad_()
        output = DiscriminatorOutput(
            torch.stack([torch.zeros(1000)] * 3 + [logits], 1),
            torch.stack([protected, outcome], 1),
            torch.stack([protected, outcome], 1),
            logits,
        )
        loss = fairness_gan.objective(PARITY).leakage(output)
        assert loss.item() == pytest.approx(entropy(fraction), rel=1e-5)
        (slope,) = torch.autograd.grad(loss, logits)
        assert abs(slope[outcome == 1].sum().item()) < 1e-6  # no other logit is better

    def test_equality_of_opportunity_counts_only_images_with_a_true_outcome_of_1(self):
        outputs = [[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, 9.0]]
        output = output_of(
            outputs, [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], requested=[[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
        )
        among = fairness_gan.objective(OPPORTUNITY).leakage(output).item()
        assert among == pytest.approx((softplus(-2) + softplus(1)) / 2, rel=1e-6)
        everyone = fairness_gan.objective(PARITY).leakage(output).item()
        assert everyone == pytest.approx((softplus(-2) + softplus(1) + softplus(9)) / 3, rel=1e-6)
        nobody = output_of(outputs, [[1.0, 1.0]] * 3, requested=[[1.0, 0.0]] * 3)
        assert fairness_gan.objective(OPPORTUNITY).leakage(nobody).item() == 0

    def test_g_reduces_the_leakage(self):
        """Its gradient lowers the logit where C = 1 and raises it where C = 0."""
        outputs = torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, -1.0]], requires_grad=True)
        labels = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
        (slope,) = torch.autograd.grad(
            fairness_gan.objective(PARITY).generator(DiscriminatorOutput(outputs, labels, labels, outputs)),
            outputs,
        )
        assert slope[0, 3] > 0 > slope[1, 3]


@pytest.fixture
def generator() -> FairGenerator:
    network = fairness_gan.build_generator(PARITY, SHAPE, 3)
    initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
    return network


class TestGenerator:
    latents = torch.randn(40, PARITY.latent_size, generator=torch.Generator().manual_seed(1))
    requested = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).repeat(20, 1)

    def test_generates_the_outcome_and_keeps_all_other_labels(self, generator):
        images, labels = generator(self.latents, self.requested)
        assert images.shape == (40, *SHAPE)
        assert torch.equal(labels[:, [0, 2]], self.requested[:, [0, 2]])
        assert set(labels[:, 1].tolist()) == {0.0, 1.0}

    def test_it_receives_the_true_outcome_for_opportunity_and_not_for_parity(self, generator):
        other = self.requested.clone()
        other[:, 1] = 1 - other[:, 1]
        first, second = generator(self.latents, self.requested), generator(self.latents, other)
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1][:, 1], second[1][:, 1])
        opportunity = fairness_gan.build_generator(OPPORTUNITY, SHAPE, 3)
        initialize(opportunity, "normal", torch.Generator().manual_seed(0))
        assert not torch.equal(
            opportunity(self.latents, self.requested)[0], opportunity(self.latents, other)[0]
        )

    def test_its_outcome_is_0_or_1_with_the_gradient_of_the_probability(self, generator):
        labels = generator(self.latents, self.requested)[1]
        (slope,) = torch.autograd.grad(labels[:, 1].sum(), generator.outcome[-1].bias)
        with torch.no_grad():
            condition = self.requested[:, :1]
            entered = generator.entry(self.latents, condition)
            probability = torch.sigmoid(generator.outcome(torch.cat([entered, condition], 1)))
        assert torch.equal(labels[:, 1], (probability[:, 0] > 0.5).float())
        assert slope.item() == pytest.approx((probability * (1 - probability)).sum().item(), rel=1e-4)


@pytest.mark.parametrize("condition", ["projection", "channel"])
class TestDiscriminator:
    images = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 1)

    def network(self, condition: Any) -> FairDiscriminator:
        params = replace(PARITY.discriminator, condition=condition, spectral_norm=False)
        network = fairness_gan.build_discriminator(replace(PARITY, discriminator=params), SHAPE, 2)
        initialize(network, "glorot_uniform", torch.Generator().manual_seed(0))
        return network.requires_grad_(False)

    def test_each_head_depends_on_its_own_inputs(self, condition):
        """S(X) and C(X) on the image, C(Y) on the outcome, S(X, Y) on both; none on C."""
        network = self.network(condition)
        output = network(self.images, self.labels)
        assert output.shape == (6, 4)
        other_outcome, other_protected = self.labels.clone(), self.labels.clone()
        other_outcome[:, 1], other_protected[:, 0] = 1 - self.labels[:, 1], 1 - self.labels[:, 0]
        changed = network(self.images, other_outcome)
        assert [torch.equal(output[:, head], changed[:, head]) for head in range(4)] == [
            True,
            False,
            True,
            False,
        ]
        assert torch.equal(output, network(self.images, other_protected))
        changed = network(self.images.flip(0), self.labels)
        assert [torch.equal(output[:, head], changed[:, head]) for head in range(4)] == [
            False,
            False,
            False,
            True,
        ]

    def test_the_joint_head_equals_its_formula(self, condition):
        network = self.network(condition)
        maps = network.trunk(self.images, self.labels[:, :0], None)
        features, sign = maps.permute(0, 2, 3, 1).flatten(1), 2 * self.labels[:, 1:2] - 1
        if condition == "projection":
            expected = network.joint(features)[:, 0] + (
                features * (sign * network.projection.weight[:, 0])
            ).sum(1)
        else:
            spread = (
                network.spread(self.labels[:, 1:2])
                .unflatten(1, (maps.shape[2], maps.shape[3], -1))
                .permute(0, 3, 1, 2)
            )
            both = network.together(torch.cat([maps, spread], 1))
            assert both.shape[1] == maps.shape[1] // 2
            expected = network.joint(both.permute(0, 2, 3, 1).flatten(1))[:, 0]
        assert torch.allclose(network(self.images, self.labels)[:, 1], expected, atol=1e-5)


class TestSettings:
    @pytest.mark.parametrize(
        ("changes", "names", "message"),
        [
            ({"fairness": "none"}, ["Male", "Smiling"], "needs fairness: demographic_parity or"),
            ({}, ["Smiling", "Male"], "must begin with `protected` and `outcome`, Male and Smiling"),
            ({"generator": FAMILIES["attribute_cgan"].generator}, ["Male", "Smiling"], "needs kind: resnet"),
            (
                {"discriminator": replace(PARITY.discriminator, condition="merge", units=[4])},
                ["Male", "Smiling"],
                "projection, or channel",
            ),
        ],
    )
    def test_settings_that_do_not_fit_are_refused_in_one_line(self, changes, names, message):
        with pytest.raises(InputError, match=message) as error:
            registry.check("fairness_gan", replace(PARITY, **changes), names)
        assert str(error.value).startswith("families.fairness_gan: ")
        assert "\n" not in str(error.value)
