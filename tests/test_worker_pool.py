import math
import os
import time

import pytest

from tests.pool_tasks import perform, remember_start
from yt8m_distill import worker_pool
from yt8m_distill.worker_pool import TASKS_OF_A_PROCESS, ThisProcess, WorkerPool


def run_all(pool, tasks):
    """Results by task, with as many tasks at once as the pool has room for."""
    waiting, results = list(tasks), {}
    with pool:
        while waiting or pool.is_busy:
            while waiting and pool.has_room:
                pool.submit(waiting.pop(0))
            results.update(pool.wait())
    return results


def test_two_processes_share_the_tasks_and_stay_alive():
    tasks = [f"task {number}" for number in range(8)]
    results = run_all(WorkerPool(2, perform, remember_start), tasks)
    assert {task: result[2] for task, result in results.items()} == {task: task for task in tasks}
    processes = [result[0] for result in results.values()]
    assert len(set(processes)) == 2 and os.getpid() not in processes
    numbers = sorted(result[:2] for result in results.values())
    assert numbers == sorted({(pid, n) for pid in set(processes) for n in range(1, 1 + processes.count(pid))})


def test_a_process_is_replaced_after_some_tasks(monkeypatch):
    monkeypatch.setattr(worker_pool, "TASKS_OF_A_PROCESS", 2)
    results = run_all(WorkerPool(1, perform, remember_start), ["a", "b", "c"])
    (pid_a, *a), (pid_b, *b), (pid_c, *c) = results["a"], results["b"], results["c"]
    assert (a, b, c) == ([1, "a"], [2, "b"], [1, "c"])
    assert pid_a == pid_b != pid_c


def test_a_process_may_stay_for_good():
    tasks = [str(number) for number in range(TASKS_OF_A_PROCESS + 1)]
    results = run_all(WorkerPool(1, perform, remember_start, math.inf), tasks)
    assert len({result[0] for result in results.values()}) == 1


def test_a_process_that_dies_loses_its_task_alone(capfd):
    results = run_all(WorkerPool(2, perform, remember_start), ["killed", "bug", "a", "b"])
    assert str(results["killed"]) == "its process was killed by SIGKILL"
    assert str(results["bug"]) == "its process ended with exit status 1"
    assert "AssertionError: a bug" in capfd.readouterr().err
    assert (results["a"][2], results["b"][2]) == ("a", "b")


def test_an_interruption_reaches_the_processes(tmp_path):
    path = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt), WorkerPool(1, perform, remember_start) as pool:
        pool.submit(f"until interrupted:{path}")
        started = time.monotonic()
        while not path.exists() or not path.read_text():
            assert time.monotonic() - started < 60
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert path.read_text() == "saved"


def test_this_process_is_a_pool_of_one():
    remember_start()
    results = run_all(ThisProcess(perform), ["a", "b"])
    assert results == {"a": (os.getpid(), 1, "a"), "b": (os.getpid(), 2, "b")}
