"""Trains on one replica and on two; `test_two_devices.py` runs it and compares.

A program of its own, because TensorFlow's devices can be split only before it has started.

Usage: python two_devices.py FOLDER OUTPUT.npz
"""

from __future__ import annotations

import contextlib
import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.training.tiny_runs import checkpoint_values, model_config, training_config, write_shards
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.training import run, train

GLOBAL_BATCH = 8
# Two passes of three steps. The third has 3 examples: all of them are the first replica's.
NUM_RECORDS = 19
SETTINGS = {
    "num_epochs": 2,
    "optimizer": "Adam",
    "base_learning_rate": 0.1,
    "learning_rate_decay_examples": 20,
    "weight_decay": 0.1,
}


def main(folder, output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, two = tf.distribute.OneDeviceStrategy("CPU:0"), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    folder = pathlib.Path(folder)
    results = {}

    def run_on(strategy, case, stops=(None,), accumulated=1, **settings):
        name = f"{case}/{'one' if strategy is one else 'two'}"
        settings["batch_size"] = GLOBAL_BATCH // strategy.num_replicas_in_sync // accumulated
        settings["gradient_accumulation_steps"] = accumulated
        losses = []
        for max_steps in stops:
            config = training_config(folder / name, pattern, max_steps=max_steps, **SETTINGS, **settings)
            with recorded_losses(losses):
                result = train(model_config(), config, strategy)
        results[f"{name}/losses"] = losses
        results[f"{name}/metrics"] = [value for _, value in sorted((result["metrics"] or {}).items())]
        for variable, value in checkpoint_values(folder / name).items():
            results[f"{name}/checkpoint/{variable}"] = value

    pattern = write_shards(folder / "records", count=NUM_RECORDS)
    for strategy in (one, two):
        # The run on two replicas stops at the end of the first pass, and is taken up again.
        stops = (None,) if strategy is one else (3, None)
        run_on(strategy, "labels", stops, regularization_penalty=1e4, eval_data_pattern=pattern, ema_decay=0.5)
        # On two replicas, each step sums the gradients of two batches, the last ones of which are empty.
        run_on(
            strategy,
            "parallel",
            accumulated=strategy.num_replicas_in_sync,
            distillation=DistillationConfig("parallel", losses=("pred", "ce")),
            label_smoothing=0.1,
        )
    # Two replicas mix among their own examples, which one cannot do.
    run_on(two, "mixed", accumulated=2, mixup_alpha=0.4)
    np.savez(output, **results)


@contextlib.contextmanager
def recorded_losses(losses):
    """Appends the losses of each step to a list."""
    end_of_batch = run.RunCallback.on_train_batch_end

    def on_train_batch_end(callback, batch, logs=None):
        losses.append([float(logs[name]) for name in sorted(logs) if name.endswith("loss")])
        end_of_batch(callback, batch, logs)

    run.RunCallback.on_train_batch_end = on_train_batch_end
    yield
    run.RunCallback.on_train_batch_end = end_of_batch


if __name__ == "__main__":
    main(*sys.argv[1:])
