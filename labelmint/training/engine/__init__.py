"""What every learner shares: inputs of a step, its random bits, optimizers, and steps taken together."""
