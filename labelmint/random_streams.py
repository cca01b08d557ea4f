"""Streams of random numbers, each a function of its key alone.

Every step opens its own stream, keyed by the replica's seed and the step number. What is drawn therefore
depends neither on other replicas nor on when training was interrupted. The global generator is never used.
"""

from __future__ import annotations

import math
from typing import cast, overload

import torch

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15  # the odd number nearest to 2^64 / golden ratio
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)

Key = int | torch.Tensor
"""64 bits: an int, or an int64 scalar tensor."""


class Stream:
    """Counter-based SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").

    key: a tensor where each of several replicas has its own key (torch.vmap), or where the key changes
    between replays of a CUDA graph. Number i of draw d is a function of (key, d, i) alone, on every device.
    """

    def __init__(self, key: Key, device: torch.device | str = "cpu"):
        self.key, self.draws = key, 0
        self.device = key.device if isinstance(key, torch.Tensor) else device

    def bits(self, *shape: int) -> torch.Tensor:
        """int64, all 64 bits random."""
        start = fold(self.key, self.draws)
        self.draws += 1
        counters = torch.arange(1, math.prod(shape) + 1, device=self.device)
        return _mix_in_place(counters.mul_(_signed(_GAMMA)) + _signed(start)).reshape(shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        """float32 in [0, 1), multiples of 2^-24."""
        return _upper(self.bits(*shape), 24).float().mul_(2.0**-24)

    def normal(self, *shape: int) -> torch.Tensor:
        """float32, N(0, 1), by the inverse of the distribution function."""
        return torch.erfinv(2 * self.uniform(*shape) - (1 - 2.0**-24)).mul_(math.sqrt(2))

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """int64 in low..high, both included."""
        # The remainder of 63 bits: the bias for a range of n is below n / 2^63.
        return low + _upper(self.bits(*shape), 63) % (high - low + 1)

    def mask(self, like: torch.Tensor, probability: float) -> torch.Tensor:
        """1 with `probability`, rounded to a multiple of 2^-16, else 0, with shape and dtype of `like`."""
        # Masks are the largest draws of a step: each 64 bits give four values of 16 bits.
        count, threshold = math.prod(like.shape), round(probability * 65536) - 32768
        bits = self.bits(-(-count // 4))
        parts = torch.stack([bits >> 48, bits << 16 >> 48, bits << 32 >> 48, bits << 48 >> 48], -1)
        return (parts.flatten()[:count] < threshold).to(like.dtype).reshape(like.shape)


@overload
def fold(key: int, number: int) -> int: ...
@overload
def fold(key: torch.Tensor, number: Key) -> torch.Tensor: ...
@overload
def fold(key: Key, number: Key) -> Key: ...
def fold(key: Key, number: Key) -> Key:
    """Derive the key of part `number` from `key`, as JAX's fold_in does."""
    if isinstance(key, int) and isinstance(number, int):
        return _mix_int(key ^ _mix_int(number * _GAMMA & _MASK))
    inner: Key
    if isinstance(number, int):
        inner = _signed(_mix_int(number * _GAMMA & _MASK))
    else:
        inner = _mix(number * _signed(_GAMMA))
    return _mix(_signed(key) ^ inner)


def _mix(bits: Key) -> torch.Tensor:
    """SplitMix64's finalizer. bits: int64, read as 64 bits without a sign."""
    return _mix_in_place(cast(torch.Tensor, bits).clone())


def _mix_in_place(bits: torch.Tensor) -> torch.Tensor:
    bits.bitwise_xor_(_upper(bits, 34)).mul_(_signed(_MULTIPLIERS[0]))
    bits.bitwise_xor_(_upper(bits, 37)).mul_(_signed(_MULTIPLIERS[1]))
    return bits.bitwise_xor_(_upper(bits, 33))


def _mix_int(bits: int) -> int:
    bits = (bits ^ bits >> 30) * _MULTIPLIERS[0] & _MASK
    bits = (bits ^ bits >> 27) * _MULTIPLIERS[1] & _MASK
    return bits ^ bits >> 31


def _upper(bits: torch.Tensor, count: int) -> torch.Tensor:
    """The upper `count` bits as a number. int64's own shift would copy the sign."""
    return (bits >> (64 - count)).bitwise_and_((1 << count) - 1)


@overload
def _signed(bits: int) -> int: ...
@overload
def _signed(bits: torch.Tensor) -> torch.Tensor: ...
def _signed(bits: Key) -> Key:
    """The int64 with the same 64 bits."""
    return bits - (1 << 64) if isinstance(bits, int) and bits >> 63 else bits
