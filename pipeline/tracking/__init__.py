"""Tracking in MLflow that never delays a stage.

A stage writes its records to a folder of its own, the spool (`spool.py`). A separate process ships the spool
to MLflow (`ship.py`) while the stage runs. If MLflow is slow, broken or absent, the spool waits for the next
stage or for `labelmint sync`.
"""
