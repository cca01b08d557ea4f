"""Deferred signals."""

from __future__ import annotations

import signal

import pytest

from labelmint.training.stopping import defer_signals


def test_signals_wait_for_the_end_of_the_block():
    numbers = []

    def interrupt() -> None:
        with defer_signals() as request:
            signal.raise_signal(signal.SIGINT)
            numbers.append(request.number)

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert numbers == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
