"""Products by OpenBLAS are those of torch, in all derivatives, and only where they are wanted."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from torch.nn import functional as F

from labelmint.classifiers import openblas
from labelmint.classifiers.job import build
from labelmint.classifiers.settings import Classifier
from labelmint.runtime import portable

SHAPE = (1, 16, 16)


@pytest.fixture
def limits(monkeypatch):
    for name, value in portable.LIMITS.items():
        monkeypatch.setenv(name, value)


def test_values_and_gradients_are_those_of_torch():
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 3, 7, generator=rng, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 7, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.allclose(openblas.linear(values, weight), F.linear(values, weight))
    assert torch.autograd.gradcheck(openblas.linear, (values, weight))


def test_a_network_within_the_limits_is_the_same_network(limits, monkeypatch):
    torch.manual_seed(0)
    network = build(Classifier(head_units=0), SHAPE, 5, None).eval()
    images = torch.rand(4, *SHAPE)
    with patch.object(openblas, "linear", wraps=openblas.linear) as product:
        within = network(images)
        assert product.call_count > 60  # two and more in each of 16 blocks, and two for their attention
        monkeypatch.delenv("MKL_CBWR")
        product.reset_mock()
        assert torch.allclose(network(images), within, atol=1e-5)
        assert not product.called


@pytest.mark.parametrize("values", [torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, device="meta")])
def test_other_types_and_devices_stay_with_torch(limits, values):
    assert openblas.suits(torch.zeros(2, 3))
    assert not openblas.suits(values)
