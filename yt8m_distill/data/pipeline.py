"""tf.data pipelines: record files to batches of model inputs and labels."""

from __future__ import annotations

import contextlib
import functools
import random

import tensorflow as tf

from yt8m_distill.data.errors import DataError, bad_record_message
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.record_files import locate_damage
from yt8m_distill.data.record_parser import parse_frame_level, parse_video_level
from yt8m_distill.data.schema import RecordSchema

_MIN_SHUFFLE_BUFFER = 1000
_INPUT_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    UnicodeDecodeError,  # TensorFlow quotes a record that it cannot parse, and then cannot decode its own message
)


def training_dataset(
    files: list[str],
    schema: RecordSchema,
    batch_size: int,
    sampler: FrameSampler | None = None,
    *,
    seed: int = 0,
    epoch: int = 0,
    num_readers: int = 8,
    num_workers: int = 1,
    worker_index: int = 0,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """One epoch of shuffled training batches, the last one possibly smaller.

    File order is shuffled, `num_readers` files are read at once, and serialized records (not decoded frames) are
    shuffled in a buffer of five batches or more, as in the original. The same `seed` and `epoch` give the same order
    and the same random draws of frames.

    Several workers share one epoch: by file where every worker can have one, by record otherwise, each record once.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      batch_size: records a batch, for this worker.
      sampler: frame budget applied while decoding; None decodes all frames.
      seed: of the whole run.
      epoch: number of the pass, starting at 0.
      num_readers: files read at once.
      num_workers: how many workers share the epoch.
      worker_index: which of them this is.
      skip_batches: batches to leave out at the start, for a run that resumes within an epoch.

    Returns:
      A dataset of (inputs, labels): inputs as `parse_frame_level` or `parse_video_level` without `video_ids`, labels
      bool [B, num_classes].
    """
    shard_by_file = len(files) >= num_workers > 1
    shuffle_seed = seed * 1009 + epoch
    file_order = random.Random(shuffle_seed).sample(sorted(files), len(files))
    dataset = tf.data.Dataset.from_tensor_slices(file_order)
    if shard_by_file:
        dataset = dataset.shard(num_workers, worker_index)
    dataset = dataset.interleave(_records_of_file, cycle_length=num_readers, num_parallel_calls=num_readers)
    dataset = _shuffle(dataset, max(_MIN_SHUFFLE_BUFFER, 5 * batch_size * num_workers), shuffle_seed)
    if num_workers > 1 and not shard_by_file:
        # After the shuffle: a step of all workers then reads the records that one worker alone would read.
        dataset = dataset.shard(num_workers, worker_index)
    dataset = dataset.batch(batch_size).skip(skip_batches)
    dataset = _parse_batches(dataset, schema, sampler, sampling_seed=shuffle_seed + 1)
    return dataset.map(_inputs_and_labels).prefetch(tf.data.AUTOTUNE)


def evaluation_dataset(
    files: list[str],
    schema: RecordSchema,
    batch_size: int,
    sampler: FrameSampler | None = None,
    *,
    num_readers: int = 1,
) -> tf.data.Dataset:
    """Every record exactly once, always in the same order.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      batch_size: records a batch; the last batch may be smaller.
      sampler: frame budget applied while decoding; None decodes all frames.
      num_readers: files read at once. With 1, records come in the order of the files; with more, file by file in turn.

    Returns:
      A dataset of dicts as `parse_frame_level` or `parse_video_level` return them.
    """
    dataset = tf.data.Dataset.from_tensor_slices(sorted(files))
    dataset = dataset.interleave(_records_of_file, cycle_length=num_readers, num_parallel_calls=num_readers)
    dataset = _parse_batches(dataset.batch(batch_size), schema, sampler, sampling_seed=0)
    return dataset.prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def readable_errors(files: list[str], schema: RecordSchema):
    """Turns what TensorFlow raises about the input into a `DataError` that names file, record and reason."""
    try:
        yield
    except _INPUT_ERRORS as error:
        message = bad_record_message(error) or locate_damage(files, schema)
        if message is None:
            raise
        raise DataError(message) from error


def _shuffle(dataset, buffer_size, seed):
    """Shuffles by `seed` alone. TensorFlow adds its global seed, by which workers may differ and would lose records."""

    def shuffled(_):
        tf.compat.v1.set_random_seed(seed)  # of this function's graph
        return dataset.shuffle(buffer_size, seed=seed)

    return tf.data.Dataset.from_tensors(0).flat_map(shuffled)


def _records_of_file(path):
    records = tf.data.TFRecordDataset(path)
    return records.enumerate().map(lambda number, record: (record, path, number))


def _parse_batches(dataset, schema, sampler, sampling_seed):
    parse = parse_video_level
    if schema.frame_features:
        parse = functools.partial(parse_frame_level, sampler=sampler, sampling_seed=sampling_seed)

    def parse_batch(serialized, path, number):
        source = tf.strings.join(["in ", path, " record ", tf.strings.as_string(number)])
        return parse(serialized, schema, source=source)

    return dataset.map(parse_batch, num_parallel_calls=tf.data.AUTOTUNE)


def _inputs_and_labels(parsed):
    inputs = {name: value for name, value in parsed.items() if name not in ("labels", "video_ids")}
    return inputs, parsed["labels"]
