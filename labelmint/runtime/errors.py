"""Errors that the user can fix. `pipeline/` prints them as one line, without a traceback."""


class InputError(Exception):
    """Error in settings or data. The message is one line: what is wrong, where, and what to do.

    Any other exception counts as a failure of the program or the machine.
    """


class DivergedError(RuntimeError):
    """Training led to numbers that are not finite. The message names the step and the setting to lower."""


class Unreachable(InputError):  # noqa: N818 - the name of a condition, as in exit code 75
    """Error of a remote server that did not answer. The same attempt may succeed later."""
