"""Predicts with an ensemble on two replicas; `test_ensemble.py` runs it.

A program of its own, because TensorFlow's devices can be split only before it has started.

Usage: python ensemble_on_two_replicas.py OUTPUT.npy
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from tests.models.small_ensemble import make_dataset, make_ensemble
from yt8m_distill.models import predict_batches


def main(output):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        ensemble = make_ensemble()
    # Batches of 3, 3 and 1: the last leaves a replica without examples.
    batches = predict_batches(ensemble, make_dataset(3), strategy)
    np.save(output, np.concatenate([batch["predictions"] for batch in batches]))


if __name__ == "__main__":
    main(sys.argv[1])
