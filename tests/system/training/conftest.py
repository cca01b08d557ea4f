"""Real digits, and a replica that trains on them, as the integration tests have them."""

from __future__ import annotations

from tests.integration.conftest import digits, prepared, replica

__all__ = ["digits", "prepared", "replica"]
