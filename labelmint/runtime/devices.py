"""Cores, graphics cards and threads of this machine. torch is imported only where it is used."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelmint.runtime.errors import InputError
from labelmint.runtime.portable import check_limits
from labelmint.runtime.settings import Compute
from labelmint.runtime.words import shortened

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_RESIDENT_BYTES = 1 << 30

if TYPE_CHECKING:
    import torch


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Model of the CPU, e.g. "AMD EPYC 9B14"; on an unknown system its architecture."""
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class NvidiaGpu:
    """A card as NVIDIA's driver knows it, whatever the build of torch. nvml: the module pynvml."""

    nvml: Any
    handle: Any

    @property
    def name(self) -> str:
        name = self.nvml.nvmlDeviceGetName(self.handle)
        return name if isinstance(name, str) else name.decode()

    @property
    def uuid(self) -> str:
        """The driver's name of the card, e.g. GPU-8932f937-…; empty if it reports none."""
        with suppress(self.nvml.NVMLError):
            uuid = self.nvml.nvmlDeviceGetUUID(self.handle)
            return uuid if isinstance(uuid, str) else uuid.decode()
        return ""

    def readings(self) -> dict[str, float]:
        """Current load by name, with the unit in the name. A slice of a card (MIG) lacks some of them."""
        readers: dict[str, Callable[[Any], float]] = {
            "utilization_percentage": lambda card: self.nvml.nvmlDeviceGetUtilizationRates(card).gpu,
            "memory_usage_megabytes": lambda card: self.nvml.nvmlDeviceGetMemoryInfo(card).used / 1e6,
            "power_usage_watts": lambda card: self.nvml.nvmlDeviceGetPowerUsage(card) / 1e3,
        }
        found: dict[str, float] = {}
        for name, read in readers.items():
            with suppress(self.nvml.NVMLError):
                found[name] = read(self.handle)
        return found


def nvidia_gpus() -> list[NvidiaGpu]:
    """Cards of the driver, without importing torch. Empty without the library, the driver or a card."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        return [NvidiaGpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
    except Exception:  # its type depends on what is missing, the answer does not
        return []


def nvidia_driver() -> tuple[str, str] | None:
    """Version of NVIDIA's driver and of the newest CUDA that it runs, e.g. ("580.65", "13.0"), or None."""
    try:
        import pynvml

        pynvml.nvmlInit()
        version, cuda = pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion_v2()
    except Exception:  # as above
        return None
    return version if isinstance(version, str) else version.decode(), f"{cuda // 1000}.{cuda % 1000 // 10}"


def pick_device(compute: Compute, where: str = "this machine") -> torch.device:
    """Device that `compute.device` names; auto is CUDA, else MPS, else the CPU.

    A numbered CUDA device becomes the current one of this thread, for code that creates streams and graphs
    without naming a device. where: what computes, for the message, e.g. "this machine".

    Raises: InputError if torch cannot use the device, or if `compute.portable` is not in force here.
    """
    import torch

    device = find_device(compute.device, where)
    if compute.portable:
        check_limits()
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    return device


def named_device(name: str) -> torch.device:
    """As `pick_device`, for a name that a user gives. Raises: InputError also if it is no device's name."""
    try:
        compute = Compute(device=name)
    except ValueError as error:
        raise InputError(str(error)) from error
    return pick_device(compute)


def find_device(name: str, where: str = "this machine") -> torch.device:
    """As `pick_device`, for a value of `compute.device`, but no device becomes the current one."""
    import torch

    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        _require_cuda(name, device.index, where)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(
            f"compute.device: mps is requested, but torch finds no Apple GPU (MPS) on {where}; "
            "set compute.device to auto or cpu"
        )
    return device


def _require_cuda(name: str, index: int | None, where: str) -> None:
    """Raises: InputError if torch finds no CUDA device, or none with this index."""
    import torch

    requested = f"compute.device: {name} is requested, but"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f" with CUDA_VISIBLE_DEVICES={visible!r}"
    if not torch.cuda.is_available():
        if torch.version.cuda is None and torch.version.hip is None:
            raise InputError(
                f"{requested} torch {torch.__version__} on {where} is a build without CUDA; "
                "install one with CUDA, or set compute.device to auto or cpu"
            )
        raise InputError(
            f"{requested} torch finds no CUDA device on {where}{hidden}; "
            "`labelmint doctor` shows the driver and the cards, or set compute.device to auto or cpu"
        )
    if index is None or index < (count := torch.cuda.device_count()):
        return
    names = shortened([f"cuda:{number}" for number in range(count)], 8)
    raise InputError(
        f"{requested} {where} has {count} CUDA device{'s' if count > 1 else ''} ({names}){hidden}; "
        "set compute.device to one of them, or to cpu"
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precision_in_force(compute: Compute, device: torch.device) -> str:
    """Precision of networks on the device: fp32, tf32 or bf16. Only CUDA computes in another than fp32."""
    if device.type != "cuda":
        return "fp32"
    return "tf32" if compute.precision == "auto" else compute.precision


@contextmanager
def arithmetic(compute: Compute, device: torch.device) -> Iterator[None]:
    """Within the block, compute on a GPU in the precision of `compute` and, if it says so, deterministically.

    TensorFloat-32 is allowed unless the precision is fp32. Nothing changes on other devices.
    """
    import torch

    if device.type != "cuda":
        yield
        return
    matmul: Any = torch.backends.cuda.matmul
    before = matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision_in_force(compute, device) != "fp32"
    try:
        with _deterministic() if compute.deterministic else nullcontext():
            yield
    finally:
        matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def _deterministic() -> Iterator[None]:
    """Let torch use only algorithms with the same bits in every run.

    Raises: InputError for an operation that has none.
    """
    import torch

    # Read once, before the first matrix product (cuBLAS documentation, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    options: Any = torch.utils.deterministic  # torch has no type for it
    before = torch.are_deterministic_algorithms_enabled(), options.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    options.fill_uninitialized_memory = False  # no tensor is read before it is written
    try:
        yield
    except RuntimeError as error:
        operation, found, _ = str(error).partition(" does not have a deterministic implementation")
        if not found:
            raise
        raise InputError(
            f"compute.deterministic: {operation} cannot be computed deterministically on this GPU; "
            "set it to false, or compute.device to cpu"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        options.fill_uninitialized_memory = before[1]


def resident_bytes(compute: Compute, device: torch.device) -> int:
    """Size up to which images are kept on the device."""
    import torch

    if compute.resident_bytes != "auto":
        return compute.resident_bytes
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _CPU_RESIDENT_BYTES
