"""The average of a run's last checkpoints, as a train_dir of its own."""

from __future__ import annotations

import json
import os

import numpy as np
import tensorflow as tf

from yt8m_distill.data.atomic_file import atomic_directory, open_atomic
from yt8m_distill.models.checkpoints import (
    CHECKPOINT_NAME,
    check_size,
    checkpoint_step,
    load_model_config,
    restore_weights,
)
from yt8m_distill.models.model_flags import FILE_NAME, read_model_flags


def average_checkpoints(train_dir: str, output_dir: str, last: int) -> list[int]:
    """Averages the weights of the last checkpoints of one run, and writes them as a train_dir, whole or not at all.

    Weights along one run wander around a minimum; their mean is nearer to it, at the cost of a single model in use. All
    floating-point weights are averaged in float64, batch-norm statistics included; others are those of the last
    checkpoint.

    The new directory is good for evaluation, inference, export, as a teacher and as a member of an ensemble, but holds
    no training state: no run can go on in it. Its `model_flags.json` is the run's, with the steps averaged under
    `averaged_checkpoints`.

    Source: SWA, "Averaging Weights Leads to Wider Optima and Better Generalization" (Izmailov et al., UAI 2018).

    Args:
      train_dir: directory of a training run.
      output_dir: where to write; must not exist, or be empty.
      last: how many checkpoints to average, counted from the latest.

    Returns:
      The steps of the checkpoints averaged, ascending.

    Raises:
      FileExistsError: output_dir holds something.
      FileNotFoundError: train_dir has no model_flags.json or no checkpoint.
      ValueError: train_dir keeps fewer checkpoints, or they belong to another model.
    """
    paths = _last_checkpoints(train_dir, last)
    flags = read_model_flags(train_dir)
    config = load_model_config(train_dir)
    check_size(config, paths[-1])
    model = config.build()
    sums = [np.zeros(weight.shape, np.float64) for weight in model.weights]
    for path in paths:
        restore_weights(model, path)
        for total, values in zip(sums, model.get_weights()):
            total += values
    weights = [
        total / len(paths) if weight.dtype.is_floating else values
        for total, weight, values in zip(sums, model.weights, model.get_weights())
    ]
    model.set_weights(weights)
    steps = [checkpoint_step(path) for path in paths]
    with atomic_directory(output_dir) as directory:
        manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=model), directory, None, checkpoint_name=CHECKPOINT_NAME
        )
        manager.save(checkpoint_number=steps[-1])
        with open_atomic(os.path.join(directory, FILE_NAME)) as file:
            file.write(json.dumps({**flags, "averaged_checkpoints": steps}, indent=2) + "\n")
    return steps


def _last_checkpoints(train_dir, last):
    """Prefixes of the last checkpoints of a run, oldest first."""
    if last < 1:
        raise ValueError(f"The number of checkpoints to average must be at least 1. Received: {last}.")
    state = tf.train.get_checkpoint_state(train_dir)
    paths = list(state.all_model_checkpoint_paths) if state is not None else []
    if not paths:
        raise FileNotFoundError(f"No checkpoint file found in {train_dir}.")
    if last > len(paths):
        raise ValueError(
            f"{train_dir} keeps {len(paths)} checkpoint(s), too few to average {last}. "
            "Training keeps as many as its --keep_checkpoints says, one each --export_model_steps."
        )
    return paths[-last:]
