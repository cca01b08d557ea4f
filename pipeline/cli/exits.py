"""How `labelmint` ends: 0 done, 2 a person's mistake, 1 a failure, 130 interrupted."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

import typer

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import printable
from pipeline import failures
from pipeline.terminal import messages_on_stderr


def run(app: typer.Typer) -> NoReturn:
    """The command line, with --debug anywhere in it. Every error is one line on stderr."""
    arguments = sys.argv[1:]
    if "--debug" in arguments:
        arguments.remove("--debug")
        arguments.insert(0, "--debug")
    try:
        with messages_on_stderr():
            code = app(args=arguments, prog_name="labelmint", standalone_mode=False)
        if code == 130:
            fail("interrupted; run again to go on", 130)
        sys.exit(code if isinstance(code, int) else 0)
    except InputError as error:
        fail(str(error), 2)
    except KeyboardInterrupt:
        fail("interrupted; run again to go on", 130)
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output wants no more
    except (OSError, MemoryError) as error:
        fail(failures.describe(error), 1)
    except RuntimeError as error:
        fail(str(error), 1)
    except Exception as error:
        # typer's own kind of error, about the command line; it has no public name.
        if hasattr(error, "format_message"):
            _misused(error)
        fail(f"{failures.describe(error)}; --debug shows where", 1)


def _misused(error: Any) -> NoReturn:
    context, message = getattr(error, "ctx", None), " ".join(error.format_message().split())
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    where = context.command_path if context else "labelmint"
    print(f"error: {printable(message.rstrip('.'))}; `{where} --help` shows what it takes", file=sys.stderr)
    sys.exit(error.exit_code)


def fail(message: str, code: int) -> NoReturn:
    """One line on stderr, after the traceback where $LABELMINT_DEBUG asks for it; then the process ends with `code`."""
    if os.environ.get("LABELMINT_DEBUG"):
        traceback.print_exc()
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(code)
