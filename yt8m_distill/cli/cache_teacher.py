"""`cache_teacher.py`, `yt8m-cache-teacher`: keeps what a teacher says of every video, for train.py --teacher_cache."""

from __future__ import annotations

import logging

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import (
    comma_list,
    create_strategy_from,
    define_batch_size_flag,
    define_strategy_flags,
    define_teacher_checkpoint_flag,
    log_batch_size,
)

_logger = logging.getLogger(__name__)


def main(argv=None) -> int:
    description = "keeps what a teacher says of every video, so that train.py --teacher_cache need not run it."
    return run_command("cache_teacher.py", description, _define_flags, _run, argv)


def _define_flags(groups):
    group = "Teacher cache"
    groups.add(
        group,
        flags.DEFINE_string,
        "teacher_dir",
        "",
        "The teacher's train_dir, or several, separated by commas, whose mean prediction is kept.",
    )
    define_teacher_checkpoint_flag(groups, group)
    groups.add(
        group,
        flags.DEFINE_string,
        "input_data_pattern",
        "",
        "Globs of the TFRecords to see, comma-separated: all that the students are going to learn from.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "output_dir",
        "",
        "Where the cache goes. A cache of the same teacher that is there already gets the files that it lacks.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "top_n",
        100,
        "Probabilities to keep of a video, the largest; the other classes get the mean of theirs.",
        lower_bound=1,
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "encodings",
        False,
        "Also keep the teacher's encodings, in float16, which the loss rep needs.",
    )
    define_batch_size_flag(groups, group, 512)
    define_strategy_flags(groups)


def _run(values):
    from yt8m_distill.data import check_first_record, list_record_files
    from yt8m_distill.distillation import prepare_teacher_cache, teacher_identity, write_teacher_cache
    from yt8m_distill.models import load_teacher

    for name in ("teacher_dir", "input_data_pattern", "output_dir"):
        if not values[name].value:
            raise ValueError(f"--{name} must not be empty.")
    files = list_record_files(values.input_data_pattern, "input")
    train_dirs, which = comma_list(values.teacher_dir), values.teacher_checkpoint
    identities = [teacher_identity(train_dir, which) for train_dir in train_dirs]
    strategy = create_strategy_from(values, stands_alone=True)
    with strategy.scope():
        teacher = load_teacher(train_dirs, which)
    check_first_record(files, teacher.schema)
    cache, missing = prepare_teacher_cache(
        values.output_dir, teacher, identities, files, values.top_n, values.encodings
    )
    _logger.info("number of input files: %d, of which the cache lacks %d", len(files), len(missing))
    if missing:
        log_batch_size(values, strategy, "the teacher")
        batch_size = values.batch_size * strategy.num_replicas_in_sync
        _write(write_teacher_cache, cache, teacher, missing, batch_size, strategy)
    stored = [cache.shards[name] for name in cache.shards]
    num_records, num_bytes = (sum(shard[name] for shard in stored) for name in ("records", "cache_bytes"))
    _logger.info(
        "Teacher cache of %d videos in %s: %.1f MB, %.0f bytes a video.",
        num_records,
        values.output_dir,
        num_bytes / 1e6,
        num_bytes / max(1, num_records),
    )


def _write(write, cache, teacher, files, batch_size, strategy):
    from yt8m_distill.data import estimate_num_records
    from yt8m_distill.training import Progress

    progress = Progress(estimate_num_records(files))

    def on_batch(num_written):
        progress.reach(num_written)
        if progress.is_due():
            progress.show(num_written, f"num examples processed: {num_written} examples/sec: {progress.rate:.2f}")

    write(cache, teacher, files, batch_size, strategy, on_batch)
    progress.close()
