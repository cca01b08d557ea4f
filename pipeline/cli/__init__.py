"""The command line `labelmint`."""
