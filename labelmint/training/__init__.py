"""Training of generators: update rules, replicas, checkpoints, health, and how the work is spread."""
