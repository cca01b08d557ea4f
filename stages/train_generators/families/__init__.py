"""One small file per family: its networks, its objective, and the update rules it knows."""
