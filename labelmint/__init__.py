"""Synthetic labelled image data, and the honest measurement of what it is worth."""
