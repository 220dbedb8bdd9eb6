"""What the benchmark ran on."""

from __future__ import annotations

import datetime
import os
import platform

import numpy as np
import tensorflow as tf


def describe_machine() -> dict:
    """Processor, memory, accelerator, versions and date, for the record of a run."""
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "ram_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "device": "gpu" if gpus else "cpu",
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            return next(line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
