"""What happened, told to MLflow without ever holding up the work.

A stage writes what it has to say to a folder of its own, the spool (`spool.py`). A child process ships the spool to MLflow
(`ship.py`) while the stage works. If MLflow is slow, broken or absent, the spool waits for the next stage or for
`labelmint sync`.
"""
