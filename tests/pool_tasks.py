"""Functions that the processes of a `WorkerPool` import."""

import os
import signal
import time

_state = {}


def remember_start():
    _state["num_tasks"] = 0


def perform(task):
    """(process, tasks of this process so far, what was asked) or, by name, an accident."""
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "bug":
        raise AssertionError("a bug")
    if task.startswith("until interrupted:"):
        path = task.partition(":")[2]
        with open(path, "w") as file:
            file.write("started")
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            with open(path, "w") as file:
                file.write("saved")
            raise
    _state["num_tasks"] += 1
    return os.getpid(), _state["num_tasks"], task
