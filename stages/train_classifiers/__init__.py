"""Real, synthetic or mixed images -> classifiers, and the frozen network whose features the metrics use."""
