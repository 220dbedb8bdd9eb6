"""Three different models of the same records, small and with known weights, and batches for them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.training.tiny_runs import FRAMES, model_config
from yt8m_distill.models import Ensemble

WEIGHTS = (2, 1, 1)  # so the mean is a/2 + b/4 + c/4
SMALL_LSTM = {"lstm_cells": 2, "lstm_layers": 1, "video_level_classifier_model": "LogisticModel"}
CONFIGS = (
    model_config("FrameLevelLogisticModel", FRAMES),
    model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3),
    model_config("LstmModel", FRAMES, every_n=4, hyperparameters=SMALL_LSTM),
)


def make_model(config, seed=0):
    """The model with weights drawn by `seed`."""
    model = config.build()
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def make_ensemble() -> Ensemble:
    return Ensemble([make_model(config, seed) for seed, config in enumerate(CONFIGS)], WEIGHTS, ("a", "b", "c"))


def make_records(count=7) -> dict:
    """Whole videos, as the pipeline gives them without a frame budget."""
    random = np.random.default_rng(60)
    return {
        "video_ids": np.array([f"video{number}" for number in range(count)]),
        "labels": random.uniform(size=(count, FRAMES.num_classes)) < 0.5,
        "frames": random.integers(0, 256, (count, FRAMES.max_frames, FRAMES.feature_width)).astype(np.uint8),
        "num_frames": np.resize(np.array([8, 5, 1, 0, 3], np.int32), count),
    }


def make_dataset(batch_size) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(make_records()).batch(batch_size)
