"""Modules that are read before anything is computed import no torch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_registry_of_metrics_needs_no_torch():
    program = (
        "import sys; from labelmint.metrics import registry; assert registry.columns(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
