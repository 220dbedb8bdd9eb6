"""Processes that run one task after the other, for work that takes whole processes, such as training runs.

Imports nothing of the package, so that a process is there at once and imports what its task needs.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable

# A process keeps what TensorFlow makes of every model, so that its memory grows.
TASKS_OF_A_PROCESS = 10
_SECONDS_TO_SAVE = 60


class WorkerPool:
    """Runs `function(task)` for tasks, in processes that stay alive over several of them.

    Unlike `multiprocessing.Pool`, it notices when a process is killed, for instance for want of memory. When the pool
    is left by an exception, each process gets a KeyboardInterrupt, and time to save what it was doing. Processes end
    with the one that made them.

    Args:
      num_processes: tasks at the same time.
      function: of a task, both picklable; what it returns must be, too.
      initialize: called once in each process before its first task; picklable.
      max_tasks: after so many a process is replaced; None is `TASKS_OF_A_PROCESS`, `math.inf` never does it.
    """

    def __init__(self, num_processes: int, function: Callable, initialize: Callable, max_tasks: float | None = None):
        self._num_processes = num_processes
        self._function = function
        self._initialize = initialize
        self._max_tasks = TASKS_OF_A_PROCESS if max_tasks is None else max_tasks
        self._context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._idle: list[_Worker] = []
        self._busy: dict[multiprocessing.connection.Connection, tuple[_Worker, object]] = {}

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, error_type, error, traceback):
        workers = self._idle + [worker for worker, _ in self._busy.values()]
        for worker in workers:
            if worker in self._idle:
                worker.connection.close()  # ends its loop
            else:
                worker.process.terminate()
        for worker in workers:
            worker.process.join(_SECONDS_TO_SAVE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    @property
    def is_busy(self) -> bool:
        return bool(self._busy)

    @property
    def has_room(self) -> bool:
        return len(self._busy) < self._num_processes

    def submit(self, task) -> None:
        """Starts a task; only while there is room."""
        worker = self._worker_with(task)
        worker.num_tasks += 1
        self._busy[worker.connection] = worker, task

    def _worker_with(self, task):
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.connection.send(task)
                return worker
            except BrokenPipeError:
                continue  # somebody killed it while it waited
        worker = _Worker(self._context, self._initialize, self._function)
        worker.connection.send(task)
        return worker

    def wait(self) -> list[tuple]:
        """Waits until at least one task is done.

        Returns:
          Pairs of a task and its result. A process that ended before it was done has as result a `ProcessEnded`.
        """
        done = []
        for connection in multiprocessing.connection.wait(list(self._busy)):
            worker, task = self._busy.pop(connection)
            try:
                done.append((task, connection.recv()))
            except (EOFError, ConnectionError):
                worker.process.join()
                done.append((task, ProcessEnded(worker.process.exitcode)))
                continue
            if worker.num_tasks < self._max_tasks:
                self._idle.append(worker)
            else:
                connection.close()
        return done


class ThisProcess:
    """A pool of one: `wait` runs the task that was submitted, in this process and with its threads."""

    def __init__(self, function: Callable):
        self._function = function
        self._task = None

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(self, error_type, error, traceback):
        pass

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    @property
    def has_room(self) -> bool:
        return self._task is None

    def submit(self, task) -> None:
        self._task = task

    def wait(self) -> list[tuple]:
        task, self._task = self._task, None
        return [(task, self._function(task))]


class ProcessEnded:
    """What is known of a process that ended in the middle of a task."""

    def __init__(self, exit_code: int):
        self.exit_code = exit_code

    def __str__(self):
        if self.exit_code < 0:
            return f"its process was killed by {signal.Signals(-self.exit_code).name}"
        return f"its process ended with exit status {self.exit_code}"


class _Worker:
    def __init__(self, context, initialize, function):
        self.num_tasks = 0
        self.connection, of_process = context.Pipe()
        self.process = context.Process(target=_work, args=(of_process, initialize, function))
        self.process.start()
        of_process.close()  # the process has the only copy left: its end is the end of the connection


def _work(connection, initialize, function):
    # Ctrl-C reaches all processes of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises KeyboardInterrupt
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        initialize()
        while True:
            connection.send(function(connection.recv()))
    except (EOFError, KeyboardInterrupt):
        pass


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
