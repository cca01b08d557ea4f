"""Metrics -> tables, plots, one HTML page."""
