"""Every stage that computes on `compute.device` refuses one that torch cannot use, in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labelmint.runtime.errors import InputError
from labelmint.runtime.tracker import NullTracker
from pipeline.stage import entry, select
from stages.paths import Arm


@pytest.mark.parametrize(
    ("stage", "arm"),
    [
        ("train_generators", "dcgan-100-0"),
        ("train_baselines", "real-100-0"),
        ("train_classifiers", "dcgan-100-0"),
        ("evaluate", "dcgan-100-0"),
    ],
)
def test_a_device_that_torch_cannot_use_is_a_user_error(workspace, params, stage, arm):
    module = entry(stage)
    own = replace(params, compute=replace(params.compute, device="cuda:999"))
    chosen = select(module.Params, own, Arm.parse(arm))
    with pytest.raises(InputError, match="compute.device: cuda:999 is requested, but ") as raised:
        module.run(chosen, workspace, NullTracker())
    assert "\n" not in str(raised.value)
