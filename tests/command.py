"""The command `labelmint`, called in this process."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from pipeline.cli import main as cli


class Called(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def labelmint(folder: Path, *arguments: object, **environment: str) -> Called:
    """Run `labelmint ARGUMENTS` in `folder`, as a terminal-less process would."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    code: int | str | None = 0
    try:
        with (
            patch.object(sys, "argv", ["labelmint", *map(str, arguments)]),
            patch.dict(os.environ, environment),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        os.chdir(before)
    assert isinstance(code, int)
    return Called(code, out.getvalue(), err.getvalue())
