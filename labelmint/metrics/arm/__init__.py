"""Evaluation of an arm: its classifiers, its networks, and everything that data/metrics/<arm>.json holds."""
