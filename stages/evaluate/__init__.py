"""Classifiers and synthetic images -> metrics on the held-out real test set, which only this stage opens."""
