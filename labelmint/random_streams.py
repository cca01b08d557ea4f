"""Streams of random numbers, each a function of its key and of nothing else.

Every step opens its own, keyed by (seed of the replica, step), so that what is drawn depends neither on the replicas
beside it nor on where training was stopped. The global generator is never used.
"""

from __future__ import annotations

import math

import torch

_ALL = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15  # the odd number nearest to 2^64 / golden ratio
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Stream:
    """SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") by position.

    key: 64 bits, as an int, or as an int64 scalar tensor where each of several replicas has its own (torch.vmap) or where
    it changes between replays of a CUDA graph. Number i of draw d follows from (key, d, i) alone, on every device.
    """

    def __init__(self, key: int | torch.Tensor, device: torch.device | str = "cpu"):
        self.key, self.draws = key, 0
        self.device = key.device if isinstance(key, torch.Tensor) else device

    def bits(self, *shape: int) -> torch.Tensor:
        """int64, all 64 bits random."""
        start = fold(self.key, self.draws)
        self.draws += 1
        places = torch.arange(1, math.prod(shape) + 1, device=self.device)
        return _mixed(places.mul_(_signed(_GAMMA)) + _signed(start)).reshape(shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        return _upper(self.bits(*shape), 24).float().mul_(2.0**-24)

    def normal(self, *shape: int) -> torch.Tensor:
        """float32 of N(0, 1), by the inverse of its distribution function."""
        return torch.erfinv(2 * self.uniform(*shape) - (1 - 2.0**-24)).mul_(math.sqrt(2))

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """int64 in low..high, both included."""
        # A remainder of 63 bits: the bias of a range of n is below n / 2^63.
        return low + _upper(self.bits(*shape), 63) % (high - low + 1)

    def mask(self, like: torch.Tensor, probability: float) -> torch.Tensor:
        """1 with `probability`, to the nearest of 2^16 parts, else 0, in the shape and dtype of `like`."""
        # Masks are the most that a step draws: four parts of 16 bits from each 64.
        count, below = math.prod(like.shape), round(probability * 65536) - 32768
        bits = self.bits(-(-count // 4))
        parts = torch.stack([bits >> 48, bits << 16 >> 48, bits << 32 >> 48, bits << 48 >> 48], -1)
        return (parts.flatten()[:count] < below).to(like.dtype).reshape(like.shape)


def fold(key: int | torch.Tensor, number: int | torch.Tensor) -> int | torch.Tensor:
    """A key for part `number` of what `key` stands for."""
    if isinstance(key, int) and isinstance(number, int):
        return _mix_int(key ^ _mix_int(number * _GAMMA & _ALL))
    inner = _signed(_mix_int(number * _GAMMA & _ALL)) if isinstance(number, int) else _mix(number * _signed(_GAMMA))
    return _mix(_signed(key) ^ inner)


def _mix(bits: torch.Tensor) -> torch.Tensor:
    """SplitMix64's finalizer. bits: int64, taken as 64 bits without a sign."""
    return _mixed(bits.clone())


def _mixed(bits: torch.Tensor) -> torch.Tensor:
    """_mix, in place."""
    bits.bitwise_xor_(_upper(bits, 34)).mul_(_signed(_MULTIPLIERS[0]))
    bits.bitwise_xor_(_upper(bits, 37)).mul_(_signed(_MULTIPLIERS[1]))
    return bits.bitwise_xor_(_upper(bits, 33))


def _mix_int(bits: int) -> int:
    bits = (bits ^ bits >> 30) * _MULTIPLIERS[0] & _ALL
    bits = (bits ^ bits >> 27) * _MULTIPLIERS[1] & _ALL
    return bits ^ bits >> 31


def _upper(bits: torch.Tensor, count: int) -> torch.Tensor:
    """The upper `count` bits, as a number: int64's own shift would copy the sign."""
    return (bits >> (64 - count)).bitwise_and_((1 << count) - 1)


def _signed(bits: int | torch.Tensor) -> int | torch.Tensor:
    return bits - (1 << 64) if isinstance(bits, int) and bits >> 63 else bits
