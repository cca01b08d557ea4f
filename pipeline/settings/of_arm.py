"""The arms of params.yaml, and the settings that the results of one arm depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from itertools import product
from typing import Any

from labelmint.runtime.settings import flat
from pipeline.settings.schema import Params
from stages.paths import Arm

_GROUPS = ("dataset", "training", "synthesis", "classifier", "feature_network", "metrics")
# Not `compute`, which says how to run, and not the lists of arms.


def arms_of(params: Params) -> list[Arm]:
    """The arms that params.yaml names."""
    return [Arm(*each) for each in product(params.generators, params.percents, params.seeds)]


def settings_of(params: Params, arm: Arm) -> dict[str, Any]:
    """{name: value}, with dotted names as `labelmint params` shows them.

    Of the families, only the arm's own. Raises: KeyError if params.yaml lacks that.
    """
    groups = {name: asdict(getattr(params, name)) for name in _GROUPS}
    return flat({**groups, "families": {arm.generator: asdict(params.families[arm.generator])}})


def digest(settings: dict[str, Any]) -> str:
    """16 hexadecimal digits that are equal for equal settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
