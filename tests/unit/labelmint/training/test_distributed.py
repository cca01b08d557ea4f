"""Random numbers of a batch that is divided among processes."""

from __future__ import annotations

import torch

from labelmint.random_streams import Stream
from labelmint.training.distributed import ShardedStream


def draws(stream: Stream, size: int) -> list[torch.Tensor]:
    like = torch.zeros(size, 3)
    return [
        stream.normal(size, 3),
        stream.uniform(size),
        stream.integers(-2, 2, size, 1),
        stream.mask(like, 0.3),
    ]


def test_sharded_streams_divide_the_numbers_of_the_whole_batch():
    whole = draws(Stream(5), 7)
    for rank, size in ((0, 4), (1, 3)):
        for part, all_numbers in zip(draws(ShardedStream(Stream(5), 7, rank, 2), size), whole):
            assert torch.equal(part, all_numbers[rank::2])
