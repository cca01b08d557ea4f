"""The same bits on every x86-64 CPU with AVX2.

PyTorch and its libraries choose their code by the CPU, and each choice rounds in its own way: another type of
CPU trains another network from the same seed. With these limits, read when the libraries are loaded, all take
the same code. Seen on AMD EPYC (AVX2) and Intel Xeon (AVX-512, AMX): tests/system/test_portable.py has the
hashes.
"""

from __future__ import annotations

import os
import platform
import sys

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say

LIMITS = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    "MKL_CBWR": "COMPATIBLE",  # matrix products; its AVX2 code differs between Intel and others
    "OPENBLAS_CORETYPE": "Haswell",  # numpy, and the products of openblas.py
    "OPENBLAS_NUM_THREADS": "1",  # how a product is divided among threads decides how its edges round
}
_READERS = ("torch", "numpy")


def set_limits() -> None:
    """Set the limits for this process and those that it starts.

    Raises: InputError when a library that reads them is imported already.
    """
    if in_force():
        return
    if loaded := [name for name in _READERS if name in sys.modules]:
        raise InputError(
            f"compute.portable: {loaded[0]} was imported before its CPU instructions were limited; set "
            f"{' '.join(f'{name}={value}' for name, value in LIMITS.items())} before Python starts"
        )
    os.environ.update(LIMITS)


def check_limits() -> None:
    """Check that this process computes within the limits. Says so where its CPU has no AVX2.

    Raises: InputError when they are not set, as in a program that imported torch without them.
    """
    import torch

    set_limits()
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        say(f"compute.portable: {platform.machine()} without AVX2: other CPUs give other bits")


def in_force() -> bool:
    """Whether this process was started with the limits, or has set them."""
    return all(os.environ.get(name) == value for name, value in LIMITS.items())
