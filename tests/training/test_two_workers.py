"""Two processes that find each other by TF_CONFIG train as one does, and come to an end."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.training.tiny_runs import checkpoint_steps, checkpoint_values, model_config, training_config, write_shards
from yt8m_distill.training import train

TRAIN = pathlib.Path(__file__).parents[2] / "train.py"
FLAGS = ["--feature_names=mean_rgb", "--feature_sizes=4", "--num_classes=3", "--strategy=auto", "--optimizer=Adam"]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def start_workers(tmp_path):
    """Starts train.py with the given flags in two processes; kills them in the end."""
    workers = []

    def start(*flags):
        addresses = [f"localhost:{port}" for port in free_ports(2)]
        for index in range(2):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            with open(tmp_path / f"worker{index}.log", "w") as log:
                worker = subprocess.Popen(
                    [sys.executable, str(TRAIN), *FLAGS, *flags],
                    # On a machine with GPUs, two workers would quarrel about them.
                    env={**os.environ, "TF_CONFIG": json.dumps(cluster), "CUDA_VISIBLE_DEVICES": ""},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            workers.append(worker)
        return workers[-2:]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.fixture
def run_workers(start_workers, tmp_path):
    """As `start_workers`; returns what each wrote until its end."""

    def run(*flags):
        codes = [worker.wait(timeout=120) for worker in start_workers(*flags)]
        logs = [(tmp_path / f"worker{index}.log").read_text() for index in range(2)]
        assert codes == [0, 0], logs
        return logs

    return run


def test_one_file_is_shared_record_by_record(run_workers, tmp_path):
    # Batches of 8, 8 and 3: the last is 2 for the first worker and 1 for the second.
    pattern = write_shards(tmp_path / "records", count=19, num_shards=1)
    settings = {"num_epochs": 2, "base_learning_rate": 0.1, "learning_rate_decay_examples": 20, "ema_decay": 0.5}
    two = tmp_path / "two"
    logs = run_workers(
        f"--train_dir={two}",
        f"--train_data_pattern={pattern}",
        f"--eval_data_pattern={pattern}",
        "--batch_size=2",
        "--gradient_accumulation_steps=2",
        *(f"--{name}={value}" for name, value in settings.items()),
    )
    batch_size = "Using batch size of 8 for training: 2 a replica on 2 replica(s), 2 times."
    assert all("Waiting until all workers that TF_CONFIG names have started." in log for log in logs)
    assert all(batch_size in log for log in logs)

    result = train(model_config(), training_config(tmp_path / "one", pattern, optimizer="AdamOptimizer", **settings))
    assert result["step"] == 6
    of_one, of_two = checkpoint_values(tmp_path / "one"), checkpoint_values(two)
    assert of_one.keys() == of_two.keys()
    for name in of_one:
        np.testing.assert_allclose(of_two[name], of_one[name], rtol=1e-5, atol=1e-6, err_msg=name)

    # Only the first worker wrote: one file of events, one line of metrics a pass.
    assert len(list(two.glob("events.*"))) == 1
    written = {path.name for path in two.iterdir() if not path.name.startswith(".")}  # but the lock
    assert {name.split(".")[0] for name in written} == {
        "best",
        "checkpoint",
        "events",
        "model",
        "model_flags",
    }
    assert [log.count("num_examples: 19") for log in logs] == [2, 0]


def test_files_that_do_not_share_out_evenly_come_to_an_end(run_workers, tmp_path):
    # Three files of 7 records: the first worker has 14 records, which are 4 batches, the second has 7, which are 2.
    pattern = write_shards(tmp_path / "records", count=21, num_shards=3)
    run_workers(
        f"--train_dir={tmp_path / 'run'}", f"--train_data_pattern={pattern}", "--batch_size=4", "--num_epochs=1"
    )
    assert checkpoint_steps(tmp_path / "run") == [4]


def test_a_worker_that_is_killed_stops_the_other_and_both_can_go_on(start_workers, run_workers, tmp_path):
    pattern = write_shards(tmp_path / "records", count=24, num_shards=2)
    flags = [f"--train_dir={tmp_path / 'run'}", f"--train_data_pattern={pattern}", "--batch_size=2"]
    first, second = start_workers(*flags, "--num_epochs=100000", "--export_model_steps=20")
    give_up = time.monotonic() + 90
    while not checkpoint_steps(tmp_path / "run") and time.monotonic() < give_up:
        time.sleep(0.1)
    second.kill()
    assert first.wait(timeout=60) == 2
    *_, last = (tmp_path / "worker0.log").read_text().splitlines()
    assert last.startswith("train.py: error: Another worker of the cluster has ended, or does not answer.")
    saved = checkpoint_steps(tmp_path / "run")[-1]
    log, _ = run_workers(*flags, "--num_epochs=100000", f"--max_steps={saved + 5}")
    assert f"model.ckpt-{saved}: step {saved}." in log
    assert checkpoint_steps(tmp_path / "run")[-1] == saved + 5
