"""params.yaml: its schema, its reference, and the experiments that are applied to it."""
