"""What `inference.py` does with --num_shards, or as one of TF_CONFIG's workers: a share of the files; and the merge."""

from __future__ import annotations

import json
import logging
import os

from absl import flags

from yt8m_distill.cli.command import is_cluster

_logger = logging.getLogger(__name__)

_GOES_WITH_MERGE = ("merge_shards", "num_shards", "output_file", "help", "debug")


def define_shard_flags(groups):
    group = "Shards"
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_shards",
        None,
        "Share the record files out over so many processes, on any machines; each writes its part beside "
        "--output_file (<output_file>-00003-of-00008). Without this flag, over the workers of TF_CONFIG, if it names "
        "several.",
        lower_bound=1,
    )
    groups.add(group, flags.DEFINE_integer, "shard_index", None, "Which of them this is, from 0.", lower_bound=0)
    groups.add(
        group,
        flags.DEFINE_boolean,
        "merge_shards",
        False,
        "Make --output_file from its --num_shards parts, which stay. Needs neither model nor records. With "
        "--num_readers=1 its rows come in the order of a single process.",
    )


def check_shard_flags(values):
    """ValueError for flags that do not go together."""
    if values.merge_shards:
        for name in values:
            if values[name].present and name not in _GOES_WITH_MERGE:
                raise ValueError(f"--{name} does not go with --merge_shards, which joins parts as they are.")
        for name in ("num_shards", "output_file"):
            if not values[name].value:
                raise ValueError(f"--merge_shards needs --{name}.")
        return
    if values.strategy == "multi_worker":
        raise ValueError(
            "--strategy=multi_worker is for training. Inference shares out the files over the workers of TF_CONFIG "
            "without it, each on its own devices: leave it out."
        )
    if values.num_shards is None and values.shard_index is not None:
        raise ValueError("--shard_index needs --num_shards.")
    if values.num_shards is not None and values.shard_index is None:
        raise ValueError("--num_shards needs --shard_index, to predict a part, or --merge_shards.")
    if values.num_shards is not None and values.shard_index >= values.num_shards:
        raise ValueError(
            f"--shard_index must be from 0 to {values.num_shards - 1} with --num_shards={values.num_shards}. "
            f"Received: {values.shard_index}."
        )
    if values.num_shards is not None and not values.output_file:
        raise ValueError("--num_shards needs --output_file.")


def shard_from(values):
    """The `Shard` that this process is, by its flags or by TF_CONFIG; None if it is to predict all files.

    Raises:
      ValueError: there is no such shard, TF_CONFIG gives this process no share, or the output cannot be shared out.
    """
    from yt8m_distill.serving import Shard

    if values.num_shards is not None:
        shard, reason = Shard(values.shard_index, values.num_shards), "--num_shards"
    elif is_cluster():
        shard, reason = Shard(*_place_in_cluster(json.loads(os.environ["TF_CONFIG"]))), "the workers of TF_CONFIG"
    else:
        return None
    if values.segment_labels:
        raise ValueError(
            f"--segment_labels does not go with {reason}: a class lists its best segments of all videos, and the CSV "
            "has no scores to merge such lists by. Run it in one process."
        )
    return shard


def merge_shards(values):
    from yt8m_distill.serving import merge_parts

    total = merge_parts(values.output_file, values.num_shards)
    _logger.info("%d parts, %d predictions, merged into %s", values.num_shards, total, values.output_file)


def _place_in_cluster(config):
    """This process's number among chief and workers, and how many they are."""
    chiefs, workers = (len(config["cluster"].get(kind, [])) for kind in ("chief", "worker"))
    task = config.get("task")
    kind, index = (task.get("type"), task.get("index")) if isinstance(task, dict) else (None, None)
    sizes = {"chief": chiefs, "worker": workers}
    if not isinstance(kind, str) or kind not in sizes:
        raise ValueError(
            "TF_CONFIG must make this process a chief or a worker: only they have a share of the input files. "
            f"Received: task {task!r}. Do not start inference.py here, or give --num_shards and --shard_index."
        )
    if not isinstance(index, int) or not 0 <= index < sizes[kind]:
        raise ValueError(f"TF_CONFIG names {sizes[kind]} {kind}(s), but this process's task is {task!r}.")
    return index + (chiefs if kind == "worker" else 0), chiefs + workers
