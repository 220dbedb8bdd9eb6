"""Ctrl-C and SIGTERM between two steps of a run, where what is saved is whole."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator

from yt8m_distill.signals import signals_handled_by

_logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedAtOnce(KeyboardInterrupt):
    """A second signal, in the middle of a step: weights and position may not belong together."""


class Interruption:
    """Lets a step end before the signal that arrives during it does what it is for.

    Weights change before the run's position does; a checkpoint from in between would repeat a batch.

    Attributes:
      is_requested: a signal has arrived, and waits for `check`.
    """

    def __init__(self):
        self.is_requested = False

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Has signals wait for `check`, within the `with` body; a second one does not wait.

        Raises:
          InterruptedAtOnce: from where the body is when the second one arrives.
          KeyboardInterrupt: at the end of the body, if a signal still waits.
        """
        # A process that ignores Ctrl-C, because another one decides, goes on to do so.
        heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        with signals_handled_by(self._request, heeded):
            yield
        self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt if a signal has arrived."""
        if self.is_requested:
            self.is_requested = False
            raise KeyboardInterrupt

    def _request(self, number, frame):
        if self.is_requested:
            raise InterruptedAtOnce
        self.is_requested = True
        _logger.warning("Stopping after this step. Once more stops at once, without saving.")
