"""The reading of a tree of labelled images: its classes, its splits, and what is left out and why."""
