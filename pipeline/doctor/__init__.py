"""The command `labelmint doctor`: checks of the machine, the project and its services."""
