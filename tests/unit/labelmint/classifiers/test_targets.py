"""Losses and decisions for classes and attributes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmint.classifiers import targets


def test_the_loss_of_attributes_is_binary():
    logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = (np.log(2) + np.log1p(np.exp(2.0))) / 2
    assert targets.loss(logits, labels, True).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_classes_is_a_softmax():
    loss = targets.loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1]), False)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-6)


def test_the_loss_of_class_probabilities_is_their_cross_entropy():
    """Hard labels are a special case, and the least loss is the entropy of the soft ones."""
    logits = torch.log(torch.tensor([[0.3, 0.7]]))
    hard = targets.loss(logits, torch.tensor([[0.0, 1.0]]), False)
    assert hard.item() == pytest.approx(targets.loss(logits, torch.tensor([1]), False).item())
    entropy = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    assert targets.loss(logits, torch.tensor([[0.3, 0.7]]), False).item() == pytest.approx(entropy, rel=1e-6)


def test_probabilities_of_classes_and_of_attributes():
    chances = torch.tensor([[0.2, 0.3, 0.5]])
    assert torch.allclose(targets.probabilities(chances.log(), False), chances)
    assert torch.allclose(targets.probabilities(chances.logit(), True), chances)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("multi_hot", [False, True])
def test_distillation_is_least_at_the_logits_of_the_teacher(temperature, multi_hot):
    """At any temperature. There the loss is the entropy, at temperature 1 of 0.3 and 0.7 for two classes."""
    taught = torch.tensor([[0.3, 0.7]]).log()
    logits = taught.clone().requires_grad_()
    loss = targets.distillation(logits, taught, temperature, multi_hot)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.allclose(gradient, torch.zeros(1, 2), atol=1e-6)
    other = targets.distillation(taught + torch.tensor([[0.1, -0.1]]), taught, temperature, multi_hot)
    assert other > loss
    if temperature == 1 and not multi_hot:
        assert loss.item() == pytest.approx(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)))


def test_gradients_of_distillation_keep_their_size_at_high_temperatures():
    """They tend to the difference of the logits over the number of classes, as Hinton et al. derive."""
    taught, logits = torch.tensor([[0.5, -0.5]]), torch.tensor([[0.2, -0.2]], requires_grad=True)
    (gradient,) = torch.autograd.grad(targets.distillation(logits, taught, 100.0, False), logits)
    assert gradient.tolist()[0] == pytest.approx([-0.15, 0.15], rel=1e-2)


def test_decisions():
    logits = np.array([[0.5, 2.0], [-1.0, -2.0]])
    assert targets.decide(logits, False).tolist() == [1, 0]
    assert targets.decide(logits, True).tolist() == [[1, 1], [0, 0]]


def test_the_confidence_is_the_probability_of_the_own_class():
    logits = np.log(np.array([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]], np.float32))
    assert targets.confidence(logits, np.array([2, 1])) == pytest.approx([0.5, 0.2], rel=1e-6)


def test_the_confidence_in_attributes_is_the_smallest():
    chances = np.array([[0.9, 0.4], [0.2, 0.3]])
    logits = np.log(chances / (1 - chances)).astype(np.float32)
    labels = np.array([[1, 0], [1, 0]], np.float32)
    assert targets.confidence(logits, labels) == pytest.approx([0.6, 0.2], rel=1e-6)


def test_fraction_correct_counts_attributes():
    assert targets.fraction_correct(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]])) == 0.75


def test_an_image_with_attributes_may_be_flipped_only_if_all_allow_it():
    attributes = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert targets.may_flip(torch.tensor([True, True]), attributes).tolist() == [True, True]
    assert targets.may_flip(torch.tensor([True, False]), attributes).tolist() == [False, False]
    assert targets.may_flip(torch.tensor([True, False]), torch.tensor([1, 0])).tolist() == [False, True]
