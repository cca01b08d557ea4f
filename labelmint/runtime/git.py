"""What git says about a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

_TIMEOUT_SECONDS = 20


class GitError(Exception):
    """Why git gave no answer, in one line: there is no git or no repository, or git refuses to read it."""


def git(root: Path, *arguments: str) -> str:
    """Output of `git ARGUMENTS` in the folder `root`, without white space around it. Raises: GitError."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git did not answer ({type(error).__name__})") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"git ended with {done.returncode}"]
        raise GitError(lines[0].removeprefix("fatal: "))
    return done.stdout.strip()
