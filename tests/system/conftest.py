from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def real(pages):
    """The run, and the servers that know of it."""
    from tests.system.real_run import Real

    return Real(pages)
