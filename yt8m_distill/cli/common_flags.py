"""Flags that several commands have, and how they become library objects."""

from __future__ import annotations

import logging
import os

from absl import flags

from yt8m_distill.cli.command import is_cluster

_logger = logging.getLogger(__name__)

MACHINE = "Machine"


def define_strategy_flags(groups) -> None:
    groups.add(
        MACHINE,
        flags.DEFINE_enum,
        "strategy",
        "auto",
        ["auto", "one_device", "mirrored", "multi_worker"],
        "tf.distribute strategy. auto is multi_worker where TF_CONFIG names several workers, mirrored over the GPUs "
        "where there are several, else one_device.",
    )
    groups.add(MACHINE, flags.DEFINE_integer, "num_gpu", 1, "The most GPUs of this machine to use.", lower_bound=1)
    # The original's default is 1. What nobody has set means all (see `create_strategy_from`), and the help says so.
    groups.values["num_gpu"].default_as_str = "all"


def create_strategy_from(values, stands_alone: bool = False):
    """The strategy that the flags and TF_CONFIG ask for.

    Args:
      values: the flags.
      stands_alone: the process works by itself, even if TF_CONFIG names others.

    Raises:
      ValueError: as `create_strategy`, or `multi_worker` for a process that stands alone.
    """
    from yt8m_distill.training import create_strategy

    if stands_alone and values.strategy == "multi_worker":
        raise ValueError("--strategy=multi_worker is for training; this command works by itself. Leave it out.")
    max_gpus = values.num_gpu if values["num_gpu"].present else None
    return create_strategy(values.strategy, max_gpus, not stands_alone and is_cluster())


def log_batch_size(values, strategy, purpose: str) -> None:
    """States the size of a step's batch: of all replicas and, if they are several, of each."""
    num_replicas = strategy.num_replicas_in_sync
    shares = f": {values.batch_size} a replica on {num_replicas} replicas" if num_replicas > 1 else ""
    _logger.info("Using batch size of %d for %s%s.", values.batch_size * num_replicas, purpose, shares)


def define_checkpoint_flag(groups, group) -> None:
    groups.add(
        group,
        flags.DEFINE_enum,
        "checkpoint",
        "latest",
        ["latest", "best"],
        "Which checkpoint of a run: the latest, or the best by validation GAP (by segment mAP, of a run on segments).",
    )


def define_teacher_checkpoint_flag(groups, group) -> None:
    groups.add(
        group,
        flags.DEFINE_enum,
        "teacher_checkpoint",
        "latest",
        ["latest", "best"],
        "Which checkpoint of the teacher: the latest, or the best by validation GAP.",
    )


def define_bad_records_flag(groups, group) -> None:
    groups.add(
        group,
        flags.DEFINE_enum,
        "bad_records",
        "fail",
        ["fail", "skip"],
        "What to do about a record that cannot be read: fail, or skip it, and list at the end what was skipped.",
    )


def skipped_records_from(values):
    """See `reported_skipped_records`; --bad_records says whether to skip."""
    from yt8m_distill.data import reported_skipped_records

    return reported_skipped_records(values.bad_records == "skip")


def define_num_frames_flag(groups, group) -> None:
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_sampled_frames",
        None,
        "Read so many frames of a video instead of those that the model was trained for.",
        lower_bound=1,
    )


def on_num_frames(config, values):
    """The `ModelConfig` of a train_dir on the number of frames that `--num_sampled_frames` asks for, if it does."""
    if values.num_sampled_frames is None:
        return config
    return config.with_num_sampled_frames(values.num_sampled_frames)


def define_prediction_flags(groups, group) -> None:
    """How records are read and predicted where the rows of a CSV come of them."""
    define_batch_size_flag(groups, group, 512)
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_readers",
        1,
        "Files read at once; above 1, their rows alternate in the CSV.",
        lower_bound=1,
    )


def define_batch_size_flag(groups, group, default):
    text = "Examples a step of each replica."
    limits = {"lower_bound": 1, "upper_bound": 1_000_000}  # as train.py's
    groups.add(group, flags.DEFINE_integer, "batch_size", default, text, **limits)


def num_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def comma_list(text: str) -> tuple[str, ...]:
    """The parts of a comma-separated flag, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def number_list(name: str, text: str) -> tuple[float, ...]:
    """The numbers of a comma-separated flag.

    Raises:
      ValueError: a part is not a number; names the flag.
    """
    try:
        return tuple(float(part) for part in comma_list(text))
    except ValueError:
        raise ValueError(f"--{name} must list numbers, separated by commas. Received: {text!r}.") from None


def integer_list(name: str, text: str) -> tuple[int, ...]:
    """The whole numbers of a comma-separated flag.

    Raises:
      ValueError: a part is not a whole number; names the flag.
    """
    try:
        return tuple(int(part) for part in comma_list(text))
    except ValueError:
        raise ValueError(f"--{name} must list whole numbers, separated by commas. Received: {text!r}.") from None
