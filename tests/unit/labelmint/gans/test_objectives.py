"""Losses of the objectives at points worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from labelmint.gans.objectives import (
    Auxiliary,
    DiscriminatorOutput,
    Hinge,
    NonSaturating,
    Objective,
    Relativistic,
    Wasserstein,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def output(outputs: list | torch.Tensor, labels: list | None = None) -> DiscriminatorOutput:
    """outputs: (N, heads). labels: (N, K)."""
    outputs = torch.as_tensor(outputs)
    given = torch.zeros(len(outputs), 0) if labels is None else torch.tensor(labels)
    return DiscriminatorOutput(outputs, given, given, torch.zeros(len(outputs), 1, 1, 1))


class TestLosses:
    real, fake = output([[2.0], [-1.0]]), output([[0.5], [1.5]])

    # softplus(-x) + s x on real, softplus(x) on fake, softplus(-x) for G
    _D_FAKE, _G_FAKE = (softplus(0.5) + softplus(1.5)) / 2, (softplus(-0.5) + softplus(-1.5)) / 2
    # pairs differ by 2 - 0.5 and by -1 - 1.5
    _D_PAIRS, _G_PAIRS = (softplus(-1.5) + softplus(2.5)) / 4, (softplus(1.5) + softplus(-2.5)) / 2

    @pytest.mark.parametrize(
        ("objective", "d_real", "d_fake", "g"),
        [
            (NonSaturating(), (softplus(-2) + softplus(1)) / 2, _D_FAKE, _G_FAKE),
            (NonSaturating(0.2), (softplus(-2) + softplus(1)) / 2 + 0.2 * 0.5, _D_FAKE, _G_FAKE),
            (Hinge(), (0 + 2) / 2, (1.5 + 2.5) / 2, -1.0),
            (Wasserstein(), -0.5, 1.0, -1.0),
            (Relativistic(), _D_PAIRS, _D_PAIRS, _G_PAIRS),
        ],
    )
    def test_by_hand(self, objective: Objective, d_real, d_fake, g):
        losses = [*objective.discriminator(self.real, self.fake), objective.against(self.fake, self.real)]
        assert [loss.item() for loss in losses] == pytest.approx([d_real, d_fake, g], rel=1e-6)

    def test_label_smoothing_is_cross_entropy_with_a_lower_target(self):
        logits = torch.tensor([[-2.0], [0.3], [4.0]])
        expected = nn.functional.binary_cross_entropy_with_logits(logits, torch.full((3, 1), 0.9)).item()
        assert NonSaturating(0.1).real(output(logits)).item() == pytest.approx(expected, rel=1e-6)

    def test_do_not_overflow(self):
        far = torch.full((2, 1), 50.0)
        assert NonSaturating().real(output(far)).item() == pytest.approx(0, abs=1e-12)
        assert NonSaturating().fake(output(far)).item() == pytest.approx(50)
        assert NonSaturating().generator(output(-far)).item() == pytest.approx(50)


class TestAuxiliary:
    def test_classes_add_the_cross_entropy_of_their_softmax(self):
        """Logits log 1, 2 and 5 give probabilities 1/8, 1/4, 5/8. The labels are the last, then the first."""
        logits = [0.0, math.log(2), math.log(5)]
        both = output([[2.0, *logits], [-2.0, *logits]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
        entropy = (math.log(8 / 5) + math.log(8)) / 2
        objective = Auxiliary(Hinge(), weight=3.0, generator_weight=0.5)
        assert objective.real(both).item() == pytest.approx((0 + 3) / 2 + 3 * entropy, rel=1e-6)
        assert objective.fake(both).item() == pytest.approx((3 + 0) / 2 + 3 * entropy, rel=1e-6)
        assert objective.generator(both).item() == pytest.approx(0 + 0.5 * entropy, rel=1e-6)

    def test_attributes_add_the_mean_of_their_cross_entropies(self):
        """The number of attributes does not change the weight of the classification."""
        one = output([[0.0, math.log(3), 0.0]], [[1.0, 0.0]])  # probabilities 3/4 and 1/2
        entropy = (math.log(4 / 3) + math.log(2)) / 2
        assert Auxiliary(Wasserstein(), True).classification(one).item() == pytest.approx(entropy, rel=1e-6)
        weighted = Auxiliary(Wasserstein(), True, generator_weight=4)
        assert weighted.generator(one).item() == pytest.approx(4 * entropy)

    def test_equals_torchs_losses(self):
        outputs = torch.tensor([[0.0, 1.0, 2.0], [0.0, -1.0, 3.0]])
        both = output(outputs, [[1.0, 0.0], [0.0, 1.0]])
        classes = nn.functional.cross_entropy(outputs[:, 1:], torch.tensor([0, 1])).item()
        assert Auxiliary(Hinge()).classification(both).item() == pytest.approx(classes)
        attributes = nn.functional.binary_cross_entropy_with_logits(outputs[:, 1:], both.labels).item()
        assert Auxiliary(Hinge(), True).classification(both).item() == pytest.approx(attributes)

    def test_g_and_d_agree_on_the_classification(self):
        """G does not play against the classifier: both gradients of its logits have the same sign."""
        outputs = torch.zeros(1, 3, requires_grad=True)
        labels = torch.tensor([[1.0, 0.0]])
        one = DiscriminatorOutput(outputs, labels, labels, outputs)
        objective = Auxiliary(NonSaturating())
        losses = objective.fake(one), objective.generator(one)
        gradients = [torch.autograd.grad(loss, outputs)[0].tolist() for loss in losses]
        assert gradients == [[[0.5, -0.5, 0.5]], [[-0.5, -0.5, 0.5]]]
