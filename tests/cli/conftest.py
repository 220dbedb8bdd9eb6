import logging

import pytest


@pytest.fixture(autouse=True)
def own_logging():
    """A command sets up the root logger for a process of its own; here, the next test gets it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
