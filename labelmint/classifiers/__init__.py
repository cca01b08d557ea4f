"""Classifiers of real and synthetic images, and the feature network of the metrics."""
