"""Metrics. Each module directly in this package registers its own, see `registry`."""
