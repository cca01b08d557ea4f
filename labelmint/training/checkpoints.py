"""Checkpoints on disk, so that an interrupted run resumes where it stopped."""

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
_MAX_TIME_FRACTION = 0.015
_IDENTITY = "identity.json"
_FALLBACK = "resuming from the previous one, or from the start"

Identity = Mapping[str, Any]
"""Everything that a run's weights depend on: {"training.epochs": 7, …, "data": SHA-256 of its images}."""


class IdentityChangedError(ValueError):
    """A checkpoint belongs to other settings or other data."""


class Checkpoints:
    """Checkpoints of one replica, in a folder of its own.

    The last two are kept, so that a damaged one costs little progress. folder: None keeps none.
    """

    def __init__(self, folder: Path | None, identity: Identity):
        self.folder, self.identity = folder, dict(identity)

    def save(self, attempt: int, step: int, state: Mapping[str, Any]) -> None:
        """Write tensors, numbers and text, all or nothing: a temporary file, a checksum, a sync, a rename."""
        if self.folder is None:
            return
        buffer = io.BytesIO()
        torch.save({"identity": self.identity, "attempt": attempt, "step": step, **state}, buffer)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            atomic_write(self.folder / f"{attempt:03d}-{step:012d}.pt") as partial,
            partial.open("wb") as file,
        ):
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        for path in self._files()[_KEPT:]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The latest undamaged state, or None. A damaged file is reported and skipped.

        Raises: IdentityChangedError, naming what differs.
        """
        for path in self._files():
            content = path.read_bytes()
            if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
                say(f"{path}: damaged checkpoint, {_FALLBACK}")
                continue
            try:
                state: dict[str, Any] = torch.load(
                    io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True
                )
                changes = differences(state["identity"], self.identity)
            except Exception as error:  # of many types; the checksum is right, so this is no accident
                say(f"{path}: damaged checkpoint ({type(error).__name__}), {_FALLBACK}")
                continue
            if changes:
                raise IdentityChangedError(f"{path} belongs to another run: {changes}")
            return state
        return None

    def clear(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """The checkpoints, latest first."""
        return sorted(self.folder.glob("*.pt"), reverse=True) if self.folder else []


class SaveInterval:
    """When to save: at most once a second, and so that saving takes at most `max_fraction` of the time."""

    def __init__(self, max_fraction: float = _MAX_TIME_FRACTION):
        self.max_fraction, self.next = max_fraction, time.monotonic() + 1

    def due(self) -> bool:
        return time.monotonic() >= self.next

    def record(self, seconds: float) -> None:
        """Note that saving has just taken `seconds`."""
        self.next = time.monotonic() + max(1.0, seconds / self.max_fraction)


def open_folder(root: Path, owner: str, identity: Identity, writes: bool = True) -> Path:
    """The folder, under `root`, for the checkpoints of `owner` with this identity.

    Unfinished runs of the same owner with another identity are not resumed; what differs is reported.
    writes: whether this process, of several, writes files.
    """
    key = hashlib.sha256(repr(sorted(identity.items())).encode()).hexdigest()[:24]
    folder = root / key
    if not writes:
        return folder
    if not folder.exists():
        for other in _folders(root, owner).values():
            say(
                f"{owner}: an unfinished run has other settings, so it is not resumed: "
                f"{differences(other, identity)}; restore these settings to resume it"
            )
    save_json(folder / _IDENTITY, {"owner": owner, "identity": dict(identity)})
    return folder


def clear_owner(root: Path, owner: str) -> None:
    """Delete all checkpoints of `owner`, which is done."""
    for folder in _folders(root, owner):
        shutil.rmtree(folder, ignore_errors=True)


def _folders(root: Path, owner: str) -> dict[Path, Identity]:
    """Identity by folder of the owner's checkpoints.

    An unreadable one is reported and skipped: it may belong to another arm.
    """
    found: dict[Path, Identity] = {}
    for path in sorted(root.glob(f"*/{_IDENTITY}")):
        try:
            content = load_json(path)
            identity, its_owner = dict(content["identity"]), content["owner"]
        except (InputError, OSError, KeyError, TypeError, ValueError) as error:
            say(
                f"{path}: damaged ({type(error).__name__}), skipped; "
                "delete its folder if no run should resume from it"
            )
            continue
        if its_owner == owner:
            found[path.parent] = identity
    return found


def differences(then: Identity, now: Identity) -> str:
    """What differs, as "training.epochs 7, now 8; …", or ""."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return "; ".join(f"{name} {_short(then.get(name))}, now {_short(now.get(name))}" for name in names)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"
