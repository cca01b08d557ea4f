"""Losses and decisions for classes and attributes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmint.classifiers import targets


def test_the_loss_of_attributes_is_binary():
    logits, labels = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = (np.log(2) + np.log1p(np.exp(2.0))) / 2
    assert targets.loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_classes_is_a_softmax():
    loss = targets.loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(np.log1p(np.exp(-2.0)), rel=1e-6)


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
