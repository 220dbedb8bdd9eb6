"""A disk that is full, as the writing program sees it."""

import contextlib
import resource


@contextlib.contextmanager
def files_limited_to(num_bytes):
    """No file may grow beyond so many bytes: write() fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
