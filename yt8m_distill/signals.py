"""Signals that mean something else for a while."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def signals_handled_by(handler: Callable, numbers: Iterable[int]) -> Iterator[None]:
    """Has a handler take these signals within the `with` body, and those of before take them again after it.

    Only the main thread of a process gets signals: in any other one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in earlier.items():
            signal.signal(number, before)
