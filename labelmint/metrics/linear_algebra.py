"""Float64 linear algebra: on a CUDA device by torch, else by NumPy on the CPU.

Other devices may have no float64, as Apple's MPS. Arrays are NumPy's on every device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def has_float64(device: torch.device | str) -> bool:
    """Whether float64 is computed on the device rather than by NumPy."""
    return str(device).startswith("cuda")


def to_device(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """The array as a float64 tensor on a CUDA device."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float64)).to(device)


def gram(rows: np.ndarray, device: torch.device | str) -> np.ndarray:
    """Products of all pairs of columns, float64 (d, d). rows: float64 (N, d)."""
    if not has_float64(device):
        products: np.ndarray = rows.T @ rows
        return products
    on_device = to_device(rows, device)
    return (on_device.T @ on_device).cpu().numpy()


def eigh(matrix: np.ndarray, device: torch.device | str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues in ascending order, (d,), and eigenvectors, (d, d), of a symmetric float64 matrix."""
    if not has_float64(device):
        found = np.linalg.eigh(matrix)
        return found.eigenvalues, found.eigenvectors
    import torch

    values, vectors = torch.linalg.eigh(to_device(matrix, device))
    return values.cpu().numpy(), vectors.cpu().numpy()


def singular_values(matrix: np.ndarray, device: torch.device | str) -> np.ndarray:
    """Singular values of a float64 matrix, in descending order."""
    values: np.ndarray
    if not has_float64(device):
        values = np.linalg.svd(matrix, compute_uv=False)
    else:
        import torch

        values = torch.linalg.svdvals(to_device(matrix, device)).cpu().numpy()
    return values
