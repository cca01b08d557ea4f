"""Settings of how work is spread, and checks that all settings share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Optional


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    result: dict[str, Any] = {}
    for name, value in nested.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return result


def within(owner: str, low: float, high: float, **values: float) -> None:
    """Raises: ValueError naming the first value outside low..high."""
    for name, value in values.items():
        if not low <= value <= high:
            raise ValueError(f"{owner}.{name} must be {low} to {high}, got {value}")


@dataclass(frozen=True)
class Compute:
    """`compute` in params.yaml: how to run, never what comes out (on a CPU), so no result depends on it.

    device: auto takes a GPU where there is one. workers: processes, one thread each; auto is one per core.
    strategy: how the generators of an arm are trained: auto (stacked on a GPU, processes on a CPU) | processes |
        stacked (all at once on one device; on a CPU equal to rounding only) | one_by_one.
    precision: of networks on a GPU: fp32 | tf32 | bf16; auto is tf32. resident_bytes: images of up to so many bytes are held on the
        device, others are read batch by batch; auto is 1 GiB a process on a CPU, half of the free memory on a GPU.
    cluster: address of a Dask scheduler, tcp://host:port, whose workers train the generators; None trains here.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int | Literal["auto"] = "auto"
    strategy: Literal["auto", "processes", "stacked", "one_by_one"] = "auto"
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    resident_bytes: int | Literal["auto"] = "auto"
    cluster: Optional[str] = None

    def __post_init__(self) -> None:
        if isinstance(self.workers, int) and not 1 <= self.workers <= 1024:
            raise ValueError(f"workers must be auto or 1 to 1024, got {self.workers}")
        if isinstance(self.resident_bytes, int) and self.resident_bytes < 0:
            raise ValueError(f"resident_bytes must be auto, or 0 or more, got {self.resident_bytes}")
        if self.cluster is not None and not re.fullmatch(r"(tcp|tls)://\S+:\d+", self.cluster):
            raise ValueError(f"cluster: '{self.cluster}' must be a scheduler's address, such as tcp://127.0.0.1:8786")
