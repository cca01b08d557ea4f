"""Check of the GPUs: whether torch can use those that are there, and the one that `compute.device` names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from labelmint.runtime.devices import find_device, nvidia_driver, nvidia_gpus
from labelmint.runtime.errors import InputError
from labelmint.runtime.words import shortened
from pipeline.doctor.finding import Finding, note, ok, problem
from pipeline.doctor.project import loaded_settings
from pipeline.gpus.cards import VISIBLE

_AUTO = "set compute.device: auto in params.yaml"


def gpu(root: Path) -> Iterator[Finding]:
    """Cards, the driver against torch's build, MPS, and whether `compute.device` can be used."""
    import torch

    params = loaded_settings(root)
    device = params.compute.device if params else "auto"
    cards = shortened([card.name for card in nvidia_gpus()])
    if cards and not torch.cuda.is_available():
        says, fix = _unusable(cards)
        # With `auto`, training would silently take the CPU for days.
        yield note("GPU", says, fix) if device == "cpu" else problem("GPU", says, fix)
        return
    try:
        find_device(device)
    except InputError as error:
        fix = f"{_AUTO}, or a device that is there" if torch.cuda.is_available() else _AUTO
        yield problem("GPU", str(error).partition(";")[0], fix)
        return
    if torch.cuda.is_available():
        yield ok("GPU", _usable())
    elif torch.backends.mps.is_available():
        yield ok("GPU", f"Apple's GPU (mps); torch {torch.__version__}")
    else:
        yield ok("GPU", "none; training runs on the CPU")


def _usable() -> str:
    """The CUDA devices of torch, its build and the driver."""
    import torch

    devices = []
    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory
        devices.append(f"cuda:{number} {torch.cuda.get_device_name(number)} ({memory / 1e9:.0f} GB)")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    driver, visible = nvidia_driver(), os.environ.get(VISIBLE)
    parts = [shortened(devices, 8), f"torch {torch.__version__} with {build}"]
    parts += [f"driver {driver[0]}"] if driver else []
    parts += [f"{VISIBLE}={visible}"] if visible is not None else []
    return "; ".join(parts)


def _unusable(cards: str) -> tuple[str, str]:
    """Why torch can use none of the driver's cards, and what to do."""
    import torch

    if not torch.version.cuda:
        says = f"{cards}, but torch {torch.__version__} is a build for CPUs"
        return says, "rm -rf .venv && make env, without UV_TORCH_BACKEND=cpu"
    visible, driver = os.environ.get(VISIBLE), nvidia_driver()
    if visible is not None:
        says = f"{cards}, but torch sees none with {VISIBLE}={visible!r}"
        return says, f"unset {VISIBLE}, or name a card; if that is right, update the driver"
    supported = f": driver {driver[0]} runs CUDA up to {driver[1]}" if driver else ""
    says = f"{cards}, but torch with CUDA {torch.version.cuda} cannot use it{supported}"
    return says, f"update the driver, and check {VISIBLE}"
