"""How `labelmint` ends: the exit code, and one line on stderr about an error.

0 done, 2 user error, 1 failure, 75 something remote did not answer, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

import typer

from labelmint.runtime.progress import printable
from pipeline.failures import FAILURE, INTERRUPTED, Terminated, outcome, sigterm_raises
from pipeline.probes import bypass_proxy
from pipeline.terminal import messages_on_stderr, write_utf8


def run(app: typer.Typer) -> NoReturn:
    """Run the command line, with --debug anywhere in it, and end the process."""
    write_utf8()
    bypass_proxy()
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        arguments.remove("--debug")
        arguments.insert(0, "--debug")
    try:
        with sigterm_raises(), messages_on_stderr():
            code = app(args=arguments, prog_name="labelmint", standalone_mode=False)
        if code == INTERRUPTED:  # typer ends on Ctrl-C without a message
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        sys.exit(FAILURE)  # the reader of our output has closed it
    except (Exception, KeyboardInterrupt, Terminated) as error:
        if hasattr(error, "format_message"):  # typer's error about the command line; its class is not public
            _end_misused(error)
        message, code = outcome(error)
        if code == FAILURE and isinstance(error, RuntimeError):  # raised for the user, without its type
            message = str(error)
        elif code == FAILURE and not isinstance(error, (OSError, MemoryError)):
            message += "; --debug shows where"
        fail(message, code)


def _end_misused(error: Any) -> NoReturn:
    context, message = getattr(error, "ctx", None), " ".join(error.format_message().split())
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    command = context.command_path if context else "labelmint"
    fail(f"{message.rstrip('.')}; `{command} --help` shows its usage", error.exit_code)


def fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr, after the traceback if $LABELMINT_DEBUG is set, and end the process."""
    if os.environ.get("LABELMINT_DEBUG"):
        traceback.print_exc()
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(code)
