"""DVC: its graph, its commands and the lock of the workspace."""
