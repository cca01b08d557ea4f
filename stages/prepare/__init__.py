"""Raw images -> verified uint8 tensors, a held-out test set, and nested fractions of the rest."""
