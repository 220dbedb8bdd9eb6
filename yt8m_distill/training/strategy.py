"""Where and in which precision a run computes: tf.distribute strategies and mixed precision, by name."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import tensorflow as tf

from yt8m_distill.stack import keras

_logger = logging.getLogger(__name__)

# What TensorFlow raises in one worker when another one is gone.
_OF_LOST_WORKERS = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


class WorkerLostError(ConnectionError):
    """Another worker of the cluster has ended, or does not answer any more; the message says how to go on."""


def create_strategy(
    name: str = "auto", max_gpus: int | None = None, is_cluster: bool = False
) -> tf.distribute.Strategy:
    """Makes the strategy that spreads training, evaluation and inference over devices.

    Args:
      name: `one_device`; `mirrored`, all GPUs of this machine; `multi_worker`, the cluster that TF_CONFIG describes; or
        `auto`, which takes the last of these that applies.
      max_gpus: use at most so many GPUs of this machine; None for all.
      is_cluster: TF_CONFIG names more than one worker.

    Raises:
      ValueError: unknown name, or `multi_worker` without a cluster.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}.")
    # Listing logical devices starts TensorFlow's runtime, which a cluster must be told of before.
    physical_gpus = tf.config.list_physical_devices("GPU")[:max_gpus]
    if name == "auto":
        name = "multi_worker" if is_cluster else "mirrored" if len(physical_gpus) > 1 else "one_device"
    if name == "multi_worker":
        if not is_cluster:
            raise ValueError("strategy='multi_worker' needs the environment variable TF_CONFIG to name the workers.")
        tf.config.set_visible_devices(physical_gpus, "GPU")
        _logger.info("Waiting until all workers that TF_CONFIG names have started.")
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")][:max_gpus]
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(gpus or ["/cpu:0"])
    return tf.distribute.OneDeviceStrategy(gpus[0] if gpus else "/cpu:0")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes to the train_dir."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and resolver.task_id == 0)


@contextlib.contextmanager
def computation_in(precision: str) -> Iterator[None]:
    """Layers that are made in the `with` body compute in 32 bits (`none`) or in 16 (`bfloat16`, `float16`)."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32" if precision == "none" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says of a worker that is gone what it means for the others.

    A worker whose process has ended is noticed with the next step; one that does not answer, some ten seconds later.

    Raises:
      WorkerLostError: in the place of TensorFlow's errors, where there are several workers.
    """
    try:
        yield
    except _OF_LOST_WORKERS as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise WorkerLostError(
            "Another worker of the cluster has ended, or does not answer. Start all workers again with the same "
            "command: they go on from the last checkpoint."
        ) from error
