"""A small teacher and a small student, a batch of made-up videos, and the losses between them written once more."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.models import create_model
from yt8m_distill.stack import keras

FEATURES = ("rgb", "audio"), (3, 2)
MAX_FRAMES, NUM_CLASSES = 12, 4
BUDGET = {"num_sampled_frames": 4}  # an H-RNN reads them in blocks of 1, and all frames in blocks of 3
NUM_FRAMES = np.array([12, 9, 3, 1, 0], np.int32)
LABELS = np.random.default_rng(70).uniform(size=(5, NUM_CLASSES)) < 0.5
FRAMES = np.random.default_rng(71).integers(0, 256, (5, MAX_FRAMES, 5)).astype(np.uint8)
INPUTS = {"frames": tf.constant(FRAMES), "num_frames": tf.constant(NUM_FRAMES)}
DATA = (INPUTS, tf.constant(LABELS))


def make_model(seed, name="LstmModel", **options):
    keras.utils.set_random_seed(seed)
    lstm = {"lstm_cells": 2, "lstm_layers": 1} if name in ("LstmModel", "HierarchicalLstmModel") else {}
    blocks = {"num_blocks": 4} if name == "HierarchicalLstmModel" else {}
    small = {"num_classes": NUM_CLASSES, "max_frames": MAX_FRAMES}
    options = {**small, **lstm, **blocks, **options}
    return create_model(
        name, options.pop("feature_names", FEATURES[0]), options.pop("feature_sizes", FEATURES[1]), **options
    )


def make_pair(**options):
    """A teacher that reads all frames and a student with a budget, with different weights."""
    return make_model(1, **options), make_model(2, **BUDGET, **options)


def losses_by_hand(teacher, student, targets=None):
    """The distillation losses on `DATA`, video by video and without the package's functions."""
    targets = targets or teacher.encode_and_classify(INPUTS, training=False)
    outputs = student.encode_and_classify(INPUTS, training=False)
    rep, pred, ce, frame, block = [], [], [], [], []
    for video, label in enumerate(LABELS.astype(np.float32)):
        rep.append(tf.norm(targets["encoding"][video] - outputs["encoding"][video]) ** 2)
        p, q = targets["predictions"][video], outputs["predictions"][video]
        pred.append(keras.losses.KLDivergence()(p / tf.reduce_sum(p), q / tf.reduce_sum(q)))
        ce.append(-tf.reduce_sum(tf.math.log(tf.where(label > 0, q, 1 - q) + 1e-5)))
        frame.append(_frame_distance(video, targets, outputs))
        if "block_states" in outputs:
            block.append(_block_distance(video, targets, outputs, teacher.encoder, student.encoder))
    parts = {"rep": rep, "pred": pred, "ce": ce, "frame": frame, "block": block}
    return {name: tf.add_n(values) / len(LABELS) for name, values in parts.items() if values}


def _frame_distance(video, targets, outputs):
    frames_read = outputs["frame_indices"][video, : outputs["num_frames"][video]]
    return _mean_distance(
        [
            (targets["frame_states"][video, int(frame)], outputs["frame_states"][video, step])
            for step, frame in enumerate(frames_read)
        ]
    )


def _block_distance(video, targets, outputs, teacher_encoder, student_encoder):
    frames_read = outputs["frame_indices"][video, : outputs["num_frames"][video]].numpy()
    length = student_encoder.block_length
    blocks = [frames_read[start : start + length] for start in range(0, len(frames_read), length)]
    return _mean_distance(
        [
            (
                targets["block_states"][video, frames[-1] // teacher_encoder.block_length],
                outputs["block_states"][video, b],
            )
            for b, frames in enumerate(blocks)
        ]
    )


def _mean_distance(pairs):
    if not pairs:
        return tf.constant(0.0)
    return tf.add_n([tf.reduce_sum((target - state) ** 2) for target, state in pairs]) / len(pairs)
