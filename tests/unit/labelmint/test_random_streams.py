"""Streams of random numbers: known answers, independence from the form of the key, distributions."""

from __future__ import annotations

import pytest
import torch

from labelmint import random_streams
from labelmint.random_streams import Stream, fold


def test_equals_splitmix64():
    """The first three numbers from seed 1234567, published with the reference implementation."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    gamma = random_streams._GAMMA
    states = [(1234567 + number * gamma) % 2**64 for number in (1, 2, 3)]
    assert [random_streams._mix_int(state) for state in states] == known
    signed = torch.tensor([random_streams._signed(state) for state in states])
    assert [value % 2**64 for value in random_streams._mix(signed).tolist()] == known


@pytest.mark.parametrize("key", [0, 5, 2**63 - 1])
def test_an_int_a_tensor_and_a_vmapped_key_give_equal_numbers(key):
    def draw(stream: Stream) -> list[torch.Tensor]:
        like = torch.zeros(4, 3)
        return [stream.normal(4, 3), stream.uniform(5), stream.integers(-2, 2, 6, 1), stream.mask(like, 0.3)]

    plain, tensor = draw(Stream(key)), draw(Stream(torch.tensor(key)))
    stacked = torch.vmap(lambda each: tuple(draw(Stream(each))))(torch.tensor([key, 77]))
    for first, second, both in zip(plain, tensor, stacked):
        assert torch.equal(first, second)
        assert torch.equal(first, both[0])
        assert not torch.equal(first, both[1])


def test_fold_is_equal_for_ints_and_tensors():
    for number in (0, 3, 10**9):
        whole = fold(2**62 + 3, number)
        assert fold(torch.tensor(2**62 + 3), number).item() % 2**64 == whole
        assert fold(torch.tensor(2**62 + 3), torch.tensor(number)).item() % 2**64 == whole


def test_distributions():
    stream, count = Stream(3), 200_000
    normal, uniform = stream.normal(count), stream.uniform(count)
    for values, mean, deviation in ((normal, 0, 1), (uniform, 0.5, 12**-0.5)):
        assert abs(values.mean().item() - mean) < 0.01
        assert abs(values.std().item() - deviation) < 0.01
    assert (normal.abs() > 3).float().mean().item() == pytest.approx(0.0027, abs=0.0005)
    assert normal.isfinite().all()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    counts = torch.bincount(stream.integers(0, 4, count))
    assert len(counts) == 5
    assert (counts - count / 5).abs().max() < 900
    assert abs(stream.mask(normal, 0.3).mean().item() - 0.3) < 0.005


def test_draws_of_a_stream_and_of_neighbouring_keys_are_uncorrelated():
    stream = Stream(1)
    draws = [
        stream.normal(100_000),
        stream.normal(100_000),
        Stream(2).normal(100_000),
        Stream(fold(1, 1)).normal(100_000),
    ]
    correlations = torch.corrcoef(torch.stack(draws)) - torch.eye(4)
    assert correlations.abs().max() < 0.015
