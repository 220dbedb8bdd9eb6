"""Trains on one replica and on two; `test_two_devices.py` runs it and compares.

A program of its own, because TensorFlow's devices can be split only before it has started.

Usage: python two_devices.py FOLDER OUTPUT.npz
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.training.tiny_runs import FRAMES, checkpoint_values, model_config, training_config, write_shards
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.training import run, train

GLOBAL_BATCH = 8
# Two passes of three steps. The third has 3 examples: all of them are the first replica's.
NUM_RECORDS = 19
CASES = {
    "labels": (model_config("FrameLevelLogisticModel", FRAMES), {"regularization_penalty": 1e4}),
    "parallel": (
        model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2),
        {"distillation": DistillationConfig("parallel")},
    ),
}


def main(folder, output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {
        "one": tf.distribute.OneDeviceStrategy("CPU:0"),
        "two": tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    }
    folder = pathlib.Path(folder)
    pattern = write_shards(folder / "records", FRAMES, NUM_RECORDS)
    results = {}
    for case, (model, settings) in CASES.items():
        for name, strategy in strategies.items():
            # The run on two stops at the end of the first pass, and within the second.
            for max_steps in (3, 5, None) if (case, name) == ("labels", "two") else (None,):
                config = training_config(
                    folder / case / name,
                    pattern,
                    batch_size=GLOBAL_BATCH // strategy.num_replicas_in_sync,
                    eval_data_pattern=pattern,
                    num_epochs=2,
                    max_steps=max_steps,
                    optimizer="Adam",
                    base_learning_rate=0.1,
                    learning_rate_decay_examples=20,
                    **settings,
                )
                with recorded_losses() as losses:
                    result = train(model, config, strategy)
                results.setdefault(f"{case}/{name}/losses", []).extend(losses)
            results[f"{case}/{name}/metrics"] = [value for _, value in sorted(result["metrics"].items())]
            for variable, value in checkpoint_values(folder / case / name).items():
                results[f"{case}/{name}/checkpoint/{variable}"] = value
    np.savez(output, **results)


class recorded_losses:
    """The losses of each step, as a list of lists."""

    def __enter__(self):
        losses, self.end_of_batch = [], run.RunCallback.on_train_batch_end

        def on_train_batch_end(callback, batch, logs=None):
            losses.append([float(logs[name]) for name in sorted(logs) if name.endswith("loss")])
            self.end_of_batch(callback, batch, logs)

        run.RunCallback.on_train_batch_end = on_train_batch_end
        return losses

    def __exit__(self, *error):
        run.RunCallback.on_train_batch_end = self.end_of_batch


if __name__ == "__main__":
    main(*sys.argv[1:])
