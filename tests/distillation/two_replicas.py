"""Distills with one replica and with two; `test_two_replicas.py` runs it and compares.

A program of its own, because TensorFlow's devices can be split only before it has started.

Usage: python two_replicas.py OUTPUT.npz
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from tests.models.two_replicas import NUM_CLASSES, SLOTS, WIDTH, train
from yt8m_distill.distillation import DistillationConfig, Distiller
from yt8m_distill.models import create_model
from yt8m_distill.stack import keras

# What depends on the size of the global batch: the means, the authors' sum, the share of the L2 penalties.
CONFIG = DistillationConfig("parallel", ("rep", "pred", "ce", "int"), pred_reduction="sum")


def main(output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results, weights = {}, None
    for replicas, strategy in (("one", tf.distribute.get_strategy()), ("two", two)):
        with strategy.scope():
            teacher, student = make_model(), make_model(num_sampled_frames=2)
            distiller = Distiller(teacher, student, CONFIG)
            distiller.compile(make_optimizer(student), make_optimizer(teacher), regularization_penalty=1e6)
        weights = weights or (teacher.get_weights(), student.get_weights())
        teacher.set_weights(weights[0])
        student.set_weights(weights[1])
        for number, logs in enumerate(train(distiller, strategy, in_graph=False)):
            results.update({f"{replicas}/{name} of step {number}": value for name, value in logs.items()})
        for name, model in (("teacher", teacher), ("student", student)):
            results.update({f"{replicas}/{name} weight {n}": value for n, value in enumerate(model.get_weights())})
    np.savez(output, **results)


def make_model(**budget):
    lstm = {"lstm_cells": 2, "lstm_layers": 1}
    return create_model("LstmModel", ("rgb",), (WIDTH,), num_classes=NUM_CLASSES, max_frames=SLOTS, **lstm, **budget)


def make_optimizer(model):
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    return optimizer


if __name__ == "__main__":
    main(sys.argv[1])
