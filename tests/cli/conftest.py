import logging

import pytest


@pytest.fixture(autouse=True)
def own_logging():
    """A command sets up the root logger for a process of its own; here, the next test gets it back."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in (None, "absl", "tensorflow")}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
