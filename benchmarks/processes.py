"""Measuring in processes of their own: fresh memory, TensorFlow as it starts."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import resource
import sys
from collections.abc import Callable


def in_fresh_process(function: Callable, *args):
    """Calls a function of a module in a new process and returns what it returns.

    Raises:
      concurrent.futures.process.BrokenProcessPool: the process died, perhaps because memory ran out.
      Exception: what the function raises.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=spawn) as executor:
        return executor.submit(function, *args).result()


def peak_memory_mb() -> float:
    """The most memory that this process has held, MB (10^6 bytes)."""
    try:
        with open("/proc/self/status") as status:  # on Linux getrusage knows the parent's memory, too
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6
    except OSError:
        bytes_per_unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 1e6
