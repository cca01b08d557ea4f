"""Devices, processes, files, errors and progress: nothing that a result depends on."""
