"""Ctrl-C and SIGTERM between two steps of a run, where what is saved is whole."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

_logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedAtOnce(KeyboardInterrupt):
    """A second signal, in the middle of a step: weights and position may not belong together."""


class Interruption:
    """Lets a step end before the signal that arrives during it does what it is for.

    Weights change before the run's position does; a checkpoint from in between would repeat a batch.
    """

    def __init__(self):
        self._is_requested = False

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Has signals wait for `check`, within the `with` body; a second one does not wait.

        Raises:
          InterruptedAtOnce: from where the body is when the second one arrives.
          KeyboardInterrupt: at the end of the body, if a signal still waits.
        """
        if threading.current_thread() is not threading.main_thread():  # no other gets signals
            yield
            return
        # A process that ignores Ctrl-C, because another one decides, goes on to do so.
        replaced = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        earlier = {number: signal.signal(number, self._request) for number in replaced}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
        self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has arrived."""
        if self._is_requested:
            self._is_requested = False
            raise KeyboardInterrupt

    def _request(self, number, frame):
        if self._is_requested:
            raise InterruptedAtOnce
        self._is_requested = True
        _logger.warning("Stopping after this step. Once more stops at once, without saving.")
