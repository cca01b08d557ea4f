"""Streams of random numbers, each a function of its key alone.

Every step opens its own stream, keyed by the replica's seed and the step number. What is drawn therefore
depends neither on other replicas nor on when training was interrupted. The global generator is never used.
"""

from __future__ import annotations

import math
from typing import cast, overload

import numpy as np
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
        self.draws += 1
        return self.draw(self.draws - 1, math.prod(shape)).reshape(shape)

    def draw(self, number: int, count: int) -> torch.Tensor:
        """The bits of draw `number`, int64 (count,)."""
        counters = mix_counters(torch.arange(1, count + 1, device=self.device))
        return self.mix(counters + _signed(fold(self.key, number)))

    @staticmethod
    def mix(bits: torch.Tensor) -> torch.Tensor:
        """Bits from sums of counters and starts (`mix_counters`, `starts`), in place."""
        return _mix_in_place(bits)

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
        """1 with `probability`, else 0, with shape and dtype of `like`.

        The probability is rounded to a multiple of 2^-16 and is at least that.
        """
        # Masks are the largest draws of a step: each 64 bits give four values of 16 bits.
        count, threshold = math.prod(like.shape), max(round(probability * 65536), 1) - 32769
        parts = self.bits(-(-count // 4)).view(torch.int16).view(-1, 4).flip(-1)  # the highest first
        return (parts.flatten()[:count] <= threshold).to(like.dtype).reshape(like.shape)


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


def mix_counters(counters: torch.Tensor) -> torch.Tensor:
    """Counters, int64, as the generator adds them to the start of a draw. In place."""
    return counters.mul_(_signed(_GAMMA))


def starts(key: int, streams: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Starts of many draws at once: fold(fold(key, stream), draw), int64 (D,).

    streams, draws: int64 (D,).
    """
    gamma = np.uint64(_GAMMA)
    return starts_of(_mix_array(np.uint64(key) ^ _mix_array(streams.astype(np.uint64) * gamma)), draws)


def starts_of(keys: np.ndarray | int, draws: np.ndarray) -> np.ndarray:
    """fold(key, draw) of many draws at once, int64 (D,). keys: one, or uint64 (D,)."""
    inner = np.asarray(keys, np.uint64)
    found: np.ndarray = _mix_array(inner ^ _mix_array(draws.astype(np.uint64) * np.uint64(_GAMMA)))
    return found.view(np.int64)


def _mix_array(bits: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer of uint64."""
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(_MULTIPLIERS[0])
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(_MULTIPLIERS[1])
    mixed: np.ndarray = bits ^ bits >> np.uint64(31)
    return mixed


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
