"""Progress on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from labelmint.runtime.atomic_files import atomic_write, load_json, save_json
from labelmint.runtime.errors import InputError
from labelmint.runtime.progress import say

_DIGEST_BYTES = 32
_KEPT = 2
_SHARE_OF_TIME = 0.015
_IDENTITY = "identity.json"
_INSTEAD = "going on from the one before, or anew"

Identity = Mapping[str, Any]
"""All that a run's weights depend on, flat: {"training.epochs": 7, …, "data": SHA-256 of its images}."""


class IdentityChanged(ValueError):
    """A checkpoint belongs to other settings or other data."""


class Checkpoints:
    """Of one replica, in a folder of its own: the last two, so that a damaged one costs a little and not all."""

    def __init__(self, folder: Path | None, identity: Identity):
        self.folder, self.identity = folder, dict(identity)

    def save(self, attempt: int, step: int, state: Mapping[str, Any]) -> None:
        """Write tensors, numbers and text whole or not at all: a temporary file, a checksum, a sync, a rename."""
        if self.folder is None:
            return
        buffer = io.BytesIO()
        torch.save({"identity": self.identity, "attempt": attempt, "step": step, **state}, buffer)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.folder / f"{attempt:03d}-{step:012d}.pt") as partial, partial.open("wb") as file:
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        for path in self._files()[_KEPT:]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The newest state that is not damaged (which is said), or None.

        Raises: IdentityChanged, naming what differs.
        """
        for path in self._files():
            content = path.read_bytes()
            if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
                say(f"{path}: damaged checkpoint, {_INSTEAD}")
                continue
            try:
                state = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
                changes = differences(state["identity"], self.identity)
            except Exception as error:  # of many kinds; with the right checksum it is no accident
                say(f"{path}: damaged checkpoint ({type(error).__name__}), {_INSTEAD}")
                continue
            if changes:
                raise IdentityChanged(f"{path} is of another run: {changes}")
            return state
        return None

    def clear(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("*.pt"), reverse=True) if self.folder else []


class Pace:
    """When to save: never so often that saving takes more than a given share of the time."""

    def __init__(self, share: float = _SHARE_OF_TIME):
        self.share, self.next = share, time.monotonic() + 1

    def due(self) -> bool:
        return time.monotonic() >= self.next

    def took(self, seconds: float) -> None:
        self.next = time.monotonic() + max(1.0, seconds / self.share)


def open_folder(root: Path, owner: str, identity: Identity, writes: bool = True) -> Path:
    """The folder for checkpoints of `owner` with this identity. Another of the same owner is not gone on from, which is said.

    root: of all checkpoints. writes: whether this is the process that writes, of several.
    """
    key = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:24]
    folder = root / key
    if not writes:
        return folder
    if not folder.exists():
        for theirs in _of_owner(root, owner).values():
            say(
                f"{owner}: an unfinished run has other settings, so it is not resumed: "
                f"{differences(theirs, identity)}; to go on from it, set them back"
            )
    save_json(folder / _IDENTITY, {"owner": owner, "identity": dict(identity)})
    return folder


def clear_owner(root: Path, owner: str) -> None:
    """Delete every folder of `owner`: it is done."""
    for folder in _of_owner(root, owner):
        shutil.rmtree(folder, ignore_errors=True)


def _of_owner(root: Path, owner: str) -> dict[Path, Identity]:
    """{folder: its identity}. One that cannot be read is passed over, and named: it may be another arm's."""
    found = {}
    for path in sorted(root.glob(f"*/{_IDENTITY}")):
        try:
            content = load_json(path)
            theirs, whose = dict(content["identity"]), content["owner"]
        except (InputError, OSError, KeyError, TypeError, ValueError) as error:
            say(
                f"{path}: damaged ({type(error).__name__}), passed over; delete its folder if no run is to go on from it"
            )
            continue
        if whose == owner:
            found[path.parent] = theirs
    return found


def differences(then: Identity, now: Identity) -> str:
    """ "training.epochs 7, now 8; …", or "" """
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return "; ".join(f"{name} {_short(then.get(name))}, now {_short(now.get(name))}" for name in names)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"
