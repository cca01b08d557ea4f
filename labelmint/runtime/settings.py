"""Settings of how work is spread over devices, processes and machines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval
from typing_extensions import Doc

from labelmint.runtime.validation import Forms, Settings


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings: {"a": {"b": 1}} becomes {"a.b": 1}."""
    result: dict[str, Any] = {}
    for name, value in nested.items():
        result |= (
            flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
        )
    return result


@dataclass(frozen=True)
class Compute(Settings):
    """How to run. On one type of CPU, no result depends on it but for the rounding of `portable`."""

    device: Annotated[
        str,
        Forms(("auto", "cpu", "cuda", "cuda:N", "mps")),
        Doc(
            "Device to compute on. `auto` takes a GPU if torch can use one: CUDA, else Apple's (`mps`). "
            "`cuda:N` is the CUDA device number N, from 0."
        ),
    ] = "auto"
    workers: Annotated[
        Annotated[int, Interval(ge=1, le=1024)] | Literal["auto"],
        Doc("Processes of one thread each. `auto` is one per core."),
    ] = "auto"
    strategy: Annotated[
        Literal["auto", "processes", "together", "one_by_one"],
        Doc(
            "How the generators of an arm are trained: in `processes` on a CPU, all `together` in one CUDA "
            "graph on a GPU, or `one_by_one`. `auto` is processes on a CPU and together on a GPU."
        ),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"], Doc("Precision of networks on a GPU. `auto` is tf32.")
    ] = "auto"
    deterministic: Annotated[
        bool, Doc("Use only algorithms of a GPU that give the same bits in every run; they may be slower.")
    ] = False
    portable: Annotated[
        bool,
        Doc(
            "Limit x86-64 CPUs to instructions with which all that have AVX2 give the same bits. Training "
            "takes longer."
        ),
    ] = False
    resident_bytes: Annotated[
        Annotated[int, Ge(0)] | Literal["auto"],
        Doc(
            "Largest set of images kept on the device, bytes. Larger sets are read batch by batch. `auto` "
            "is 1 GiB per process on a CPU and half of the free memory on a GPU."
        ),
    ] = "auto"
    cluster: Annotated[
        str | None,
        Doc(
            "Address of a Dask scheduler that trains the generators, e.g. tcp://host:8786. null trains here."
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster is not None and not re.fullmatch(r"(tcp|tls)://\S+:\d+", self.cluster):
            raise ValueError(
                f"cluster must be the address of a scheduler, e.g. tcp://127.0.0.1:8786, got '{self.cluster}'"
            )
