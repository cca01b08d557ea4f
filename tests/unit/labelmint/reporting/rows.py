"""Rows of results."""

from __future__ import annotations

from typing import Any


def row(
    source: str, accuracy: float, percent: int = 40, difference: float = 0.0, **more: Any
) -> dict[str, Any]:
    """One classifier of the arm dcgan-<percent>-0; both intervals are 0.01 wide to each side."""
    return {
        **{"dataset": "digits", "generator": "dcgan", "percent": percent, "seed": 0, "source": source},
        **{"n_real": 575, "n_synthetic": 0, "steps": 10},
        **{"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01},
        **{"macro_recall": accuracy, "worst_class_recall": 0.5},
        **{
            "difference": difference,
            "difference_low": difference - 0.01,
            "difference_high": difference + 0.01,
        },
        **{"frechet_classifier": 1.5, "fid": None, "seconds": 3.25},
        **more,
    }
