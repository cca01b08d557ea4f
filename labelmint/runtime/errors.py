"""The one kind of error that a person can mend."""


class InputError(Exception):
    """Bad params or bad data. The message is one line: what is wrong, where, and what to do.

    Everything else that is raised counts as a failure of the program or the machine.
    """


class Unreachable(InputError):
    """Something elsewhere could not be reached: the same try may succeed later."""
