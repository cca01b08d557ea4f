"""The science, in the order the data flows: prepare, train_generators, synthesize, train_classifiers, evaluate, report.

A stage is handed its params, its paths and a tracker, and knows nothing of what runs it.
"""
