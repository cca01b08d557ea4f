"""What a user says about the folders of a tree: flags, or an answer where several readings fit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from labelmint.data.reading.reading import Choice, UnclearError
from labelmint.runtime.progress import printable

Result = TypeVar("Result")


def of_flags(layout: str | None, split: str, labels: str | None) -> Choice:
    """The choice of --layout, --split and --labels."""
    return Choice(layout, tuple(filter(None, split.split(","))), labels)


def decided(run: Callable[[Choice], Result], choice: Choice) -> Result:
    """Result of `run` with `choice`. On a terminal the user is asked which reading is meant.

    Raises: UnclearError where there is no terminal, or no answer.
    """
    try:
        return run(choice)
    except UnclearError as error:
        if not _on_terminal():
            raise
        try:
            answer = _asked(error)
        except typer.Abort:  # Ctrl-C or Ctrl-D
            raise error from None
    return run(answer)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(error: UnclearError) -> Choice:
    typer.echo(printable(error.problem), err=True)
    for number, proposal in enumerate(error.proposals, 1):
        typer.echo(printable(f"  {number}  {proposal.choice}: {proposal.summary}"), err=True)
    numbers = [str(number) for number in range(1, len(error.proposals) + 1)]
    answer = ""
    while answer not in numbers:
        answer = typer.prompt(f"Which one is meant ({'/'.join(numbers)})", default="1", err=True)
    return error.proposals[int(answer) - 1].choice
