"""Data on disk and in memory: tensors, splits, weights, image grids."""
