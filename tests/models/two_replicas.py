"""Trains and predicts with one replica and with two; `test_two_replicas.py` runs it and compares.

A program of its own, because TensorFlow's devices can be split only before it has started.

Usage: python two_replicas.py OUTPUT.npz
"""

from __future__ import annotations

import functools
import sys

import numpy as np
import tensorflow as tf

from yt8m_distill.models import create_model, predict_batches
from yt8m_distill.stack import keras

WIDTH, SLOTS, NUM_CLASSES = 4, 3, 5
TRAINING_BATCHES = [5, 1]  # the last one leaves a replica without examples
PREDICTION_BATCHES = [5, 1]
FIRST_STEP = 9  # whose metrics are logged


def main(output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert two.num_replicas_in_sync == 2
    results = {}
    # The larger ones train eagerly: building their graphs takes half a minute each.
    for name, hyperparameters, in_graph in (
        ("FrameLevelLogisticModel", {}, True),
        ("LstmModel", {"lstm_cells": 2, "lstm_layers": 1}, False),
        ("DbofModel", {"dbof_cluster_size": 4, "dbof_hidden_size": 3}, False),
    ):
        weights = make_model(name, hyperparameters).get_weights()
        for replicas, strategy in (("one", None), ("two", two)):
            model = make_model(name, hyperparameters, strategy)
            model.set_weights(weights)
            for number, logs in enumerate(train(model, strategy, in_graph)):
                for key, value in logs.items():
                    results[f"{name}/{replicas}/{key} {number}"] = value
            for number, weight in enumerate(model.get_weights()):
                results[f"{name}/{replicas}/weight {number}"] = weight
            batches = list(predict_batches(model, make_dataset(PREDICTION_BATCHES), strategy))
            for key in ("video_ids", "labels", "predictions"):
                results[f"{name}/{replicas}/{key}"] = np.concatenate([batch[key] for batch in batches])
            results[f"{name}/{replicas}/video_ids"] = results[f"{name}/{replicas}/video_ids"].astype("S")
    np.savez(output, **results)


def make_model(name, hyperparameters, strategy=None):
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = create_model(name, ("rgb",), (WIDTH,), num_classes=NUM_CLASSES, max_frames=SLOTS, **hyperparameters)
        model.compile(keras.optimizers.SGD(0.1, clipnorm=0.1), regularization_penalty=1e6)
        model.optimizer.build(model.trainable_variables)
        model.optimizer.iterations.assign(FIRST_STEP)
    return model


def make_dataset(batch_sizes):
    """Batches of these sizes of made-up records."""
    random = np.random.default_rng(50)
    total = sum(batch_sizes)
    records = {
        "video_ids": np.array([f"video{number}" for number in range(total)]),
        "labels": random.uniform(size=(total, NUM_CLASSES)) < 0.7,
        "frames": random.integers(0, 256, (total, SLOTS, WIDTH)).astype(np.uint8),
        "num_frames": random.integers(0, SLOTS + 1, total).astype(np.int32),
    }
    ends = np.cumsum(batch_sizes)
    dataset = tf.data.Dataset.from_tensor_slices(records)
    batches = [dataset.skip(end - size).take(size).batch(size) for end, size in zip(ends, batch_sizes)]
    return functools.reduce(tf.data.Dataset.concatenate, batches)


def train(model, strategy, in_graph):
    """Yields the logs of one training step a batch, added up over the replicas."""
    strategy = strategy or tf.distribute.get_strategy()
    num_replicas = strategy.num_replicas_in_sync

    def step(data):
        return strategy.run(model.train_step, args=(data,))

    if in_graph:
        step = tf.function(step, reduce_retracing=True)
    for batch in make_dataset(TRAINING_BATCHES):
        size = len(batch["labels"])
        bounds = np.linspace(0, size, num_replicas + 1).astype(int)

        def part(context, batch=batch, bounds=bounds):
            place = slice(*bounds[context.replica_id_in_sync_group :][:2])
            return {name: batch[name][place] for name in ("frames", "num_frames")}, batch["labels"][place]

        logs = step(strategy.experimental_distribute_values_from_function(part))
        yield {name: strategy.reduce("SUM", value, axis=None).numpy() for name, value in logs.items()}


if __name__ == "__main__":
    main(sys.argv[1])
