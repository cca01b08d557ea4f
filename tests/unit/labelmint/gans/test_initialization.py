"""Initial weights, and the batch normalisation statistics of a published network."""

from __future__ import annotations

from typing import Any

import torch

from labelmint.gans.initialization import initialize, with_own_statistics
from labelmint.gans.layers import BatchNorm
from labelmint.gans.network_settings import GeneratorNetwork
from labelmint.gans.networks import Generator


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_initialization_follows_the_scheme_and_the_seed():
    networks: list[Any] = [
        Generator(GeneratorNetwork(dense_filters=128, filters=[64]), 64, (1, 16, 16)) for _ in range(2)
    ]
    for network in networks:
        initialize(network, "normal", rng(5))
    first, second = networks
    assert all(
        torch.equal(one, other)
        for one, other in zip(first.state_dict().values(), second.state_dict().values())
    )
    assert abs(first.dense.weight.std().item() - 0.02) < 1e-3
    norm = first.first[0]
    assert abs(norm.weight.mean().item() - 1) < 0.01
    assert 0.01 < norm.weight.std().item() < 0.03
    initialize(first, "glorot_uniform", rng(5))
    bound = (6 / (64 + 2048)) ** 0.5
    assert first.dense.weight.abs().max() <= bound < first.dense.weight.abs().max() * 1.01


def test_published_statistics_belong_to_the_published_weights():
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Unflatten(1, (4, 1, 1)), BatchNorm(4))
    with torch.no_grad():
        network(torch.randn(50, 3, generator=rng(9)) + 5)  # training does not change the running statistics
    batches = [(torch.randn(500, 3, generator=rng(seed)),) for seed in range(4)]
    published: Any = with_own_statistics(network, batches)
    maps = torch.cat([published[0](*batch) for batch in batches])
    assert torch.allclose(published[2].running_mean, maps.mean(0), atol=1e-5)
    assert torch.allclose(published[2].running_var, maps.var(0), atol=0.02)
    assert not published.training
