"""How much is tried: LABELMINT_FUZZ examples a test, the same ones each time; `LABELMINT_FUZZ=5000` for a night, other ones each time."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("LABELMINT_FUZZ", "0"))
PATIENCE = timedelta(seconds=20)  # ten, on a machine that has other work too

bounded = settings(
    max_examples=EXAMPLES or 25,
    derandomize=not EXAMPLES,
    database=None,
    deadline=PATIENCE,
    suppress_health_check=list(HealthCheck),
)
