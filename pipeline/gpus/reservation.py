"""Reservation of a card by one stage, whether a flow, `dvc repro` or a user has started it.

A card is reserved by a lock on a file in a folder of the machine. The kernel releases the lock when the
processes that hold it have ended, however they end, so that no reservation outlives its stage.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say
from pipeline.dvc.graph import uses_gpu
from pipeline.gpus.cards import Card, cards_of

LOCKS = "LABELMINT_GPU_LOCKS"
"""Environment variable: folder of the locks. By default it is one for all users, among temporary files."""
RESERVED = "LABELMINT_GPU"
"""Environment variable of a stage for which a flow has reserved a card: the card's name."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Reservation:
    """A reserved card; empty if there is none.

    name: of the card. environment: variables for the stage. descriptors: open files that hold the lock. A
    child process that inherits them holds it too.
    """

    name: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


@contextmanager
def reserved(
    cards: Sequence[Card], wanted: Callable[[], bool] = lambda: True, report: Callable[[str], None] = say
) -> Iterator[Reservation]:
    """Reserve one of `cards` within the block: the first that is free, waiting for one if need be.

    wanted: whether to go on waiting. report: receives a line if it must wait.
    Yields: an empty reservation if there are no cards, or if it is no longer wanted.
    Raises: InputError if the locks cannot be written.
    """
    reservation = _first_free(cards)
    if cards and reservation is None:
        report(f"waiting for {' or '.join(card.name for card in cards)}, in use by other stages")
    while cards and reservation is None and wanted():
        time.sleep(_POLL_SECONDS)
        reservation = _first_free(cards)
    try:
        yield reservation or Reservation()
    finally:
        for descriptor in reservation.descriptors if reservation else ():
            os.close(descriptor)


@contextmanager
def reserved_for_stage(root: Path, stage: str, device: str) -> Iterator[None]:
    """Reserve a card within the block for this process, a stage, and show CUDA that card only.

    Does nothing if a flow has reserved one, under torchrun, which uses several cards for one stage, or if the
    stage uses no GPU. Must start before torch looks for GPUs. device: `compute.device`.
    """
    if RESERVED in os.environ or "RANK" in os.environ or device == "cpu" or not uses_gpu(root, stage):
        yield
        return
    with reserved(cards_of(device, os.environ)) as reservation:
        before = {name: os.environ.get(name) for name in reservation.environment}
        os.environ.update(reservation.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _first_free(cards: Sequence[Card]) -> Reservation | None:
    for card in cards:
        descriptor = _open(_folder() / f"{re.sub(r'[^A-Za-z0-9-]', '_', card.key)}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return Reservation(card.name, {**card.environment, RESERVED: card.name}, (descriptor,))
    return None


def _folder() -> Path:
    return Path(os.environ.get(LOCKS) or Path(tempfile.gettempdir()) / "labelmint-gpus")


def _open(path: Path) -> int:
    """Descriptor of a lock file, which is created if it is missing. Other users may read, and so lock, it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with suppress(FileExistsError):
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o1777)  # nosec B103  # as /tmp: other users' stages use the same cards
        # Linux refuses O_CREAT on another user's file in such a folder.
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
        with suppress(OSError):
            os.fchmod(descriptor, 0o644)  # whatever the umask
        return descriptor
    except OSError as error:
        raise InputError(
            f"{path}: the lock of a GPU cannot be opened ({error.strerror}); "
            f"set {LOCKS} to a folder that you can write"
        ) from error
