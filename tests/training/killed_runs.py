"""A training run that is killed (`kill -9`) at random moments and started again, until it is done.

    python tests/training/killed_runs.py 20        # twenty kills, then the comparison with a run that was left alone

Each process trains until it is killed: before its first step, within a step, a checkpoint or an evaluation.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

NUM_RECORDS, BATCH_SIZE, SAVE_EVERY_STEPS = 240, 4, 7
# What stands on the log once the run has been built, or restored; and once it has traced its step and trained.
STARTED, TRAINS = "Using batch size of", "training step"


def train_here(train_dir: str, pattern: str, num_epochs: int) -> None:
    """The run, with all that is kept from step to step: Adam, dropout, averaged weights, a decaying rate."""
    import logging

    from tests.training.tiny_runs import FRAMES, model_config, training_config
    from yt8m_distill.training import train

    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr, force=True)
    config = training_config(
        train_dir,
        pattern,
        eval_data_pattern=pattern,
        batch_size=BATCH_SIZE,
        num_epochs=num_epochs,
        export_model_steps=SAVE_EVERY_STEPS,
        optimizer="AdamOptimizer",
        ema_decay=0.9,
        learning_rate_decay=0.9,
        learning_rate_decay_examples=40,
        base_learning_rate=0.05,
    )
    model = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3, frame_jitter=True)
    train(model, config)


def run_until_done(
    train_dir: pathlib.Path, pattern: str, num_epochs: int, num_kills: int, seed: int, seconds_of_a_run: float
) -> list:
    """Starts and kills processes, then lets one finish.

    Returns:
      For each kill, the step of the latest checkpoint that it left.
    """
    from tests.training.tiny_runs import checkpoint_steps

    moments, left = random.Random(seed), []
    for _ in range(num_kills):
        process = _start(train_dir, pattern, num_epochs, moments.choice([STARTED, TRAINS, TRAINS]))
        # Spread over the run, because each process goes on where the last one was killed.
        time.sleep(moments.uniform(0, 2 * seconds_of_a_run / (num_kills + 1)))
        process.kill()
        process.wait()
        left.append(max(checkpoint_steps(train_dir), default=0))
        if (train_dir / "model_flags.json").exists():
            json.loads((train_dir / "model_flags.json").read_text())
    process = _start(train_dir, pattern, num_epochs, STARTED)
    assert process.wait() == 0
    return left


def _start(train_dir, pattern, num_epochs, sign):
    """A process that has come so far that `sign` stands on its log."""
    log = train_dir.with_suffix(".log")
    command = [sys.executable, __file__, "--train", str(train_dir), pattern, str(num_epochs)]
    with open(log, "w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, cwd=ROOT)
    while sign not in log.read_text():
        assert process.poll() in (None, 0), log.read_text()
        if process.poll() == 0:  # it had little left to do
            break
        time.sleep(0.01)
    return process


def compare(folder: pathlib.Path, num_kills: int, num_epochs: int, seed: int = 0) -> list:
    """Runs both; AssertionError if they differ in any variable, or in the metrics of the best checkpoint.

    Returns:
      As `run_until_done`.
    """
    import numpy as np

    from tests.training.tiny_runs import FRAMES, checkpoint_values, write_shards

    pattern = write_shards(folder / "records", FRAMES, count=NUM_RECORDS, num_shards=3)
    started = time.perf_counter()
    run_until_done(folder / "alone", pattern, num_epochs, 0, seed, 0.0)
    seconds = time.perf_counter() - started
    left = run_until_done(folder / "killed", pattern, num_epochs, num_kills, seed, seconds)
    alone, killed = checkpoint_values(folder / "alone"), checkpoint_values(folder / "killed")
    assert alone.keys() == killed.keys()
    for name, values in alone.items():
        np.testing.assert_array_equal(values, killed[name], err_msg=name)
    metrics = [json.loads((folder / name / "best" / "metrics.json").read_text()) for name in ("alone", "killed")]
    assert metrics[0] == metrics[1]
    assert int(alone["position/step"]) == num_epochs * NUM_RECORDS // BATCH_SIZE
    return left


def main(arguments):
    if arguments[0] == "--train":
        train_here(*arguments[1:3], int(arguments[3]))
        return
    with tempfile.TemporaryDirectory() as folder:
        left = compare(pathlib.Path(folder), int(arguments[0]), num_epochs=12)
    print(f"{len(left)} kills, after each of which the latest checkpoint was that of step {', '.join(map(str, left))}.")
    print("The final weights, optimizer state, position and metrics are those of a run that was left alone.")


if __name__ == "__main__":
    main(sys.argv[1:])
