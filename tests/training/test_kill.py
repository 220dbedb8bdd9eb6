"""`kill -9` loses the work since the last checkpoint and nothing else. Twenty kills: `killed_runs.py 20`."""

from tests.training.killed_runs import compare


def test_a_run_that_is_killed_ends_as_one_that_is_not(tmp_path):
    compare(tmp_path, num_kills=1, num_epochs=2, seed=1)
