"""Generators -> a labelled synthetic data set."""
