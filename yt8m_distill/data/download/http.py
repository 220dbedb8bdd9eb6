"""One HTTP request at a time, whose every failure says whether another try makes sense."""

from __future__ import annotations

import dataclasses
import http
import http.client
import random
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

_PIECE_BYTES = 1 << 18
_LEAST_BYTES_A_SECOND = 100  # less is a stall, too
_WORTH_ANOTHER_TRY = (408, 425, 429)  # and all from 500 on


@dataclasses.dataclass(frozen=True)
class HttpOptions:
    """How patient a download is.

    Attributes:
      timeout: seconds without progress after which a connection, an answer or a body is given up.
      num_retries: tries after the first one. A try that got a megabyte farther than any before starts the count anew.
      backoff: seconds before the second try; they double from try to try, and vary by half.
      max_backoff: the most seconds between two tries, whatever a server asks for (Retry-After).
    """

    timeout: float = 30.0
    num_retries: int = 5
    backoff: float = 1.0
    max_backoff: float = 60.0

    def wait(self, failures: int, retry_after: float, stop: threading.Event) -> None:
        """Waits after failure number `failures`, from 1, at most until `stop`."""
        seconds = self.backoff * 2 ** min(failures - 1, 30) * random.uniform(0.5, 1.5)
        stop.wait(min(self.max_backoff, max(seconds, retry_after)))


class TransferError(OSError):
    """A request that failed.

    Attributes:
      is_permanent: another try would fail, too.
      retry_after: seconds that the server asks to wait.
    """

    def __init__(self, message: str, is_permanent: bool = False, retry_after: float = 0.0):
        super().__init__(message)
        self.is_permanent = is_permanent
        self.retry_after = retry_after


class RangeNotSatisfiable(TransferError):
    """The server has no bytes from there on."""


class Stopped(Exception):
    """The user wants no more of it."""


class HttpClient:
    """Opens http and https URLs, through the proxies that the system names, if any.

    Threads may share one.
    """

    def __init__(self, options: HttpOptions):
        self.options = options
        # Not `build_opener`, which also opens files and FTP.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def open(self, url: str, offset: int = 0) -> http.client.HTTPResponse:
        """Sends a GET request, for the bytes from `offset` on if that is not 0, and returns the answer's beginning.

        Raises:
          RangeNotSatisfiable: answer 416.
          TransferError: no connection, no answer, or another answer than success.
        """
        headers = {"User-Agent": "yt8m-download", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            return self._opener.open(urllib.request.Request(url, headers=headers), timeout=self.options.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refusal(url, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(url, error) from error
        except (ValueError, OverflowError) as error:  # of a redirection, say to http://[
            raise TransferError(f"{url}: leads to what is no URL ({error})", True) from error

    def pieces(self, response: http.client.HTTPResponse, size: int | None, stop: threading.Event) -> Iterator[bytes]:
        """Yields the body as it arrives.

        Args:
          response: of `open`.
          size: `content_length` of it.
          stop: raises Stopped once it is set.

        Raises:
          TransferError: the connection broke, ended too early, stood still or nearly so.
        """
        received, since, received_then = 0, time.monotonic(), 0
        while size is None or received < size:
            try:
                piece = response.read1(_PIECE_BYTES if size is None else min(_PIECE_BYTES, size - received))
            except (OSError, http.client.HTTPException) as error:
                raise self._failure(response.url, error) from error
            if stop.is_set():
                raise Stopped
            if not piece:
                break
            received += len(piece)
            yield piece
            seconds = time.monotonic() - since
            if seconds > self.options.timeout:
                if received - received_then < _LEAST_BYTES_A_SECOND * seconds:
                    raise TransferError(f"{response.url}: next to nothing came for {seconds:.3g} s")
                since, received_then = time.monotonic(), received
        if size is not None and received < size:
            reason = f"the connection ended after {received} of the {size} bytes it promised"
            raise TransferError(f"{response.url}: {reason}")

    def read(self, url: str, max_bytes: int, stop: threading.Event | None = None) -> bytes:
        """Returns the whole content of a URL, or its first `max_bytes` + 1 bytes if it has more; tries repeatedly.

        Raises:
          TransferError: it cannot be had.
        """
        stop = stop or threading.Event()

        def read_once():
            with self.open(url) as response:
                content = bytearray()
                for piece in self.pieces(response, content_length(response), stop):
                    content += piece
                    if len(content) > max_bytes:
                        break
            return bytes(content[: max_bytes + 1])

        return self.try_repeatedly(read_once, stop)

    def try_repeatedly(self, attempt: Callable, stop: threading.Event, has_progressed: Callable = lambda: False):
        """Calls `attempt` until it succeeds, and returns what it returns.

        Args:
          attempt: function () that may raise TransferError.
          stop: ends the waiting between two tries with Stopped.
          has_progressed: function () -> whether the try that just failed was worth it; then the count starts anew.

        Raises:
          TransferError: the last one, if it is permanent or one too many.
        """
        failures = tries = 0
        while True:
            try:
                tries += 1
                return attempt()
            except TransferError as error:
                failures = 1 if has_progressed() else failures + 1
                if error.is_permanent or failures > self.options.num_retries:
                    times = "" if tries == 1 else f" (tried {tries} times)"
                    raise TransferError(f"{error}{times}", error.is_permanent) from error
                self.options.wait(failures, error.retry_after, stop)
            if stop.is_set():
                raise Stopped

    def _failure(self, url, error):
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return TransferError(f"{url}: the server's certificate is not valid: {reason.verify_message}", True)
        if isinstance(reason, socket.timeout):
            return TransferError(f"{url}: nothing came for {self.options.timeout:g} s")
        if isinstance(reason, socket.gaierror):
            return TransferError(f"{url}: the server's name is not known ({reason.strerror})")
        if isinstance(reason, OSError) and reason.strerror:
            return TransferError(f"{url}: {reason.strerror}")
        # An unknown scheme has its reason as text; all else is of http.client, with a name that says what is wrong.
        if isinstance(reason, str):
            return TransferError(f"{url}: {reason}", True)
        return TransferError(f"{url}: the connection broke ({type(reason).__name__})")


def content_length(response: http.client.HTTPResponse) -> int | None:
    """How many bytes the body of an answer should have, or None if the server does not say."""
    text = response.headers.get("Content-Length", "")
    if response.headers.get("Transfer-Encoding") or not re.fullmatch(r"[0-9]{1,18}", text):
        return None
    return int(text)


def _refusal(url, error):
    """The TransferError of an answer that is no success. The server's own words stay out of it."""
    if 300 <= error.code < 400:
        return TransferError(f"{url}: answers {error.code}, a redirection in a circle or to what is not http(s)", True)
    try:
        phrase = http.HTTPStatus(error.code).phrase
    except ValueError:
        phrase = "an unknown status"
    message = f"{url}: answers {error.code} ({phrase})"
    if error.code == 416:
        return RangeNotSatisfiable(message, True)
    is_permanent = error.code < 500 and error.code not in _WORTH_ANOTHER_TRY
    seconds = error.headers.get("Retry-After", "")
    return TransferError(message, is_permanent, float(seconds) if re.fullmatch(r"[0-9]{1,9}", seconds) else 0.0)
