"""The precision in which networks compute."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Within it, networks compute in bfloat16 if `bf16`. Weights, losses and statistics stay float32."""
    if not bf16:
        return nullcontext()
    # Without the cache: a cast made without gradients must not serve a pass with them.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
