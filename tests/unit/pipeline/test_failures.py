"""Messages and exit codes of errors."""

from __future__ import annotations

import errno
import os
import sys

import httpx
import pytest
import torch

from labelmint.runtime.errors import DivergedError, InputError, Unreachable
from pipeline import failures
from pipeline.failures import Terminated

MEMORY = "out of memory; close other programs, or lower batch_size and compute.workers"


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (InputError("wrong"), "wrong", 2),
        (Unreachable("no answer"), "no answer", 75),
        (ConnectionError("no answer"), "no answer", 75),
        (DivergedError("diverged"), "diverged", 1),
        (
            ModuleNotFoundError("No module named 'ruamel'", name="ruamel"),
            f"{sys.executable} has no package 'ruamel': activate the project's environment with "
            "`. .venv/bin/activate`, or run `make repro`; `labelmint doctor` compares the installed packages",
            2,
        ),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "reset by peer", 1),
        (KeyboardInterrupt(), "interrupted; run again to continue", 130),
        (Terminated(), "terminated; run again to continue", 143),
        (ValueError("a\nb"), "ValueError: a b", 1),
        (MemoryError(), MEMORY, 1),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), MEMORY, 1),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), MEMORY, 1),
        (RuntimeError("[enforce fail] can't allocate memory: you tried to allocate"), MEMORY, 1),
        (RuntimeError("could not create a primitive"), MEMORY, 1),
        (
            RuntimeError("could not create a primitive descriptor"),
            "RuntimeError: could not create a primitive descriptor",
            1,
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "data/images.npy"),
            "data/images.npy: no space left to write; free some disk space and run again to continue",
            1,
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "data"),
            "data: cannot be written (Read-only file system); fix the permissions and run again",
            1,
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
            "x: No such file or directory",
            1,
        ),
    ],
)
def test_every_error_has_a_line_and_a_code(error, message, code):
    assert failures.outcome(error) == (message, code)


def test_a_lost_server_of_prefect_is_named():
    message, code = failures.outcome(httpx.ConnectError("All connection attempts failed"))
    assert code == 1
    assert message.startswith("Prefect's server was lost (ConnectError: All connection attempts failed)")
    assert "run again to continue" in message
