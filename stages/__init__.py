"""One thin module per stage of dvc.yaml: read inputs, call the library, write outputs.

A stage receives its params, its paths and a tracker, and does not know what runs it.
"""
