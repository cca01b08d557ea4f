"""Slices of benchmarks/gpu.py. Each module has `items`, its measurements, and `summarize`."""
