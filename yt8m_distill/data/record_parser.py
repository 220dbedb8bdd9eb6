"""Serialized YouTube-8M records to batched tensors, in TensorFlow graph operations.

One function a record kind. Both take a whole batch of serialized records, because the pipeline and the exported
SavedModel use the same one. Formats: the original's `readers.py`; frames that nobody reads are never decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from yt8m_distill.data.errors import BAD_RECORD_MARK
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.record_layout import cut_frames, find_frames
from yt8m_distill.data.schema import RecordSchema

# "id" since the 2018 release, "video_id" in the 2016 and 2017 releases and in AudioSet.
ID_FEATURES = {
    "id": tf.io.FixedLenFeature([], tf.string, default_value=""),
    "video_id": tf.io.FixedLenFeature([], tf.string, default_value=""),
}


def parse_video_level(serialized, schema: RecordSchema, source=None, is_labelled=None) -> dict:
    """Parses video-level records: `tf.train.Example`, or a `SequenceExample` whose context holds the mean features.

    Args:
      serialized: string [B].
      schema: layout of the records.
      source: string [B], where each record stands, for error messages.
      is_labelled: bool [B], whose labels to read, or None for all; the others count as unlabelled.

    Returns:
      `video_ids` string [B], `features` float32 [B, feature_width], `labels` bool [B, num_classes] (all False for
      an unlabelled record).

    Raises:
      tf.errors.InvalidArgumentError: at run time, for a record without an id, with a label outside
        [0, num_classes), without a feature of the stated width, or with a value that is NaN or infinite.
    """
    features = {
        name: tf.io.FixedLenFeature([size], tf.float32)
        for name, size in zip(schema.feature_names, schema.feature_sizes)
    }
    features["labels"] = tf.io.VarLenFeature(tf.int64)
    parsed = tf.io.parse_example(serialized, {**ID_FEATURES, **features}, example_names=source)
    ids = video_ids_of(parsed, source)
    features = tf.concat([parsed[name] for name in schema.feature_names], axis=-1)  # [B, feature_width]
    is_finite = tf.reduce_all(tf.math.is_finite(features), axis=1)
    check = require_records(is_finite, "a feature holds NaN or infinity", ids, source)
    with tf.control_dependencies([check]):
        features = tf.identity(features)
    return {
        "video_ids": ids,
        "features": features,
        "labels": _multi_hot_labels(parsed["labels"], schema.num_classes, ids, source, is_labelled),
    }


def parse_frame_level(
    serialized,
    schema: RecordSchema,
    sampler: FrameSampler | None = None,
    sampling_seed: int = 0,
    source=None,
    training: bool = False,
    is_labelled=None,
) -> dict:
    """Parses frame-level records (`tf.train.SequenceExample`) and decodes the frames that the model reads.

    A feature list holds one bytes value a frame, or values of several whole frames each. Frames past `max_frames`
    are dropped. Without a `sampler` all frames are decoded; with one, only those it picks.

    Args:
      serialized: string [B].
      schema: layout of the records.
      sampler: the frame budget, or None for all frames.
      sampling_seed: changes what a random sampler draws; the draw depends on it and on the video's id alone.
      source: string [B], where each record stands, for error messages.
      training: whether the sampler may jitter its frames.
      is_labelled: bool [B], whose labels to read, or None for all.

    Returns:
      `video_ids` string [B] and `labels` bool [B, num_classes]; without a sampler `frames` uint8 [B, max_frames,
      feature_width] and `num_frames` int32 [B]; with one `sampled_frames` uint8 [B, num_slots, feature_width] and
      `num_sampled_frames` int32 [B]. Rows past the number of frames are 0.

    Raises:
      ValueError: sampler and schema differ in max_frames.
      tf.errors.InvalidArgumentError: at run time, for a record without an id or a feature list, with a label
        outside [0, num_classes), with entries that are no whole number of frames, or whose features differ in
        their number of frames.
    """
    if sampler is not None and sampler.max_frames != schema.max_frames:
        raise ValueError(
            "The frame budget and the schema must agree on max_frames. "
            f"Received: sampler {sampler.max_frames}, schema {schema.max_frames}."
        )
    records = open_frame_level(serialized, schema, {"labels": tf.io.VarLenFeature(tf.int64)}, source)
    ids, num_frames = records.video_ids, records.num_frames
    if sampler is None:
        indices = tf.range(schema.max_frames, dtype=tf.int64) + tf.zeros_like(num_frames)[:, None]
        num_read, names = num_frames, ("frames", "num_frames")
    else:
        indices, num_read = sampler.sample(num_frames, _video_seeds(ids, sampling_seed), training)
        names = ("sampled_frames", "num_sampled_frames")
    indices.set_shape([None, sampler.num_slots if sampler else schema.max_frames])
    is_read = tf.sequence_mask(num_read, tf.shape(indices)[1])
    return {
        "video_ids": ids,
        names[0]: records.read(indices, is_read),  # [B, slots, feature_width]
        names[1]: tf.cast(num_read, tf.int32),
        "labels": _multi_hot_labels(records.context["labels"], schema.num_classes, ids, source, is_labelled),
    }


class FrameLevelRecords(NamedTuple):
    """A batch of frame-level records of which no frame is decoded yet.

    Attributes:
      video_ids: string [B].
      context: what was asked for of the records' contexts, as `tf.io.parse_example` returns it.
      num_frames: int64 [B], at most max_frames.
      read: function (indices int64 [B, slots], is_read bool [B, slots]) -> uint8 [B, slots, feature_width]; rows
        that are not read are 0, and their index does not matter.
    """

    video_ids: tf.Tensor
    context: dict
    num_frames: tf.Tensor
    read: Callable


def open_frame_level(serialized, schema: RecordSchema, context_features: dict, source=None) -> FrameLevelRecords:
    """Parses frame-level records and checks their features; raises as `parse_frame_level` does.

    Args:
      serialized: string [B].
      schema: layout of the records.
      context_features: what to parse of the context beside the id, as `tf.io.parse_example` takes it.
      source: string [B], where each record stands, for error messages.
    """
    is_regular, contexts, layouts = find_frames(serialized, schema.feature_names, schema.feature_sizes)
    context, _, _ = tf.io.parse_sequence_example(contexts, {**ID_FEATURES, **context_features}, example_names=source)
    ids = video_ids_of(context, source)
    entries, num_entries = _entries_unless(is_regular, serialized, schema.feature_names, source)
    counts, readers = [], []
    for name, layout in zip(schema.feature_names, layouts):
        count, reader = _frame_reader(entries[name], num_entries[name], name, layout.size, ids, source)
        counts.append(tf.where(is_regular, layout.num_frames, count))
        readers.append(reader)
    checks = []
    for name, count in zip(schema.feature_names[1:], counts[1:]):
        problem = f"features {schema.feature_names[0]!r} and {name!r} have different numbers of frames"
        checks.append(require_records(tf.equal(count, counts[0]), problem, ids, source))

    def read(indices, is_read):
        def from_records():
            return tf.concat([cut_frames(serialized, layout, indices, is_read) for layout in layouts], axis=-1)

        def from_entries():
            return tf.concat([reader(indices, is_read) for reader in readers], axis=-1)

        return tf.cond(is_regular, from_records, from_entries)

    with tf.control_dependencies(checks):  # before frames that the shorter feature lacks are gathered
        num_frames = tf.minimum(counts[0], schema.max_frames)
    return FrameLevelRecords(ids, context, num_frames, read)


def _entries_unless(is_regular, serialized, names, source):
    """The entries of the feature lists, string [B, N], and their number, int64 [B], from the full parser; or none."""

    def parse():
        lists = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in names}
        _, entries, num_entries = tf.io.parse_sequence_example(
            serialized, sequence_features=lists, example_names=source
        )
        return entries, num_entries

    def none():
        num_records = tf.shape(serialized)[0]
        no_entry, zero = tf.fill([num_records, 0], ""), tf.zeros([num_records], tf.int64)
        return {name: no_entry for name in names}, {name: zero for name in names}

    return tf.cond(is_regular, none, parse)


def require_records(ok, problem: str, ids, source):
    """Fails the step with `problem` and the place of the first record whose `ok` (bool [B]) is False.

    Returns:
      The check, for the `tf.control_dependencies` of operations that would fail on such a record in words of their own.
    """
    first_bad = tf.where(~ok)[:1, 0]
    place = tf.strings.reduce_join(tf.gather(source, first_bad)) if source is not None else ""
    video = tf.strings.reduce_join(tf.gather(ids, first_bad))
    message = tf.strings.join([BAD_RECORD_MARK, " video '", video, "' ", place, f": {problem}"])
    return tf.debugging.Assert(tf.reduce_all(ok), [message], summarize=1)


def require_values(ok, rows, problem: str, ids, source):
    """As `require_records` of values (`ok`, bool [V]) that belong to the records `rows` (int64 [V])."""
    num_bad = tf.math.unsorted_segment_sum(tf.cast(~ok, tf.int32), rows, tf.shape(ids, out_type=tf.int64)[0])
    return require_records(tf.equal(num_bad, 0), problem, ids, source)


def video_ids_of(parsed, source):
    """The ids, string [B], of records parsed with `ID_FEATURES`; every record must have one."""
    ids = tf.where(parsed["id"] != "", parsed["id"], parsed["video_id"])
    require_records(ids != "", "neither 'id' nor 'video_id' is set", ids, source)
    return ids


def _video_seeds(ids, sampling_seed):
    return tf.strings.to_hash_bucket_fast(ids, 2**31 - 1) + sampling_seed


def _multi_hot_labels(labels: tf.SparseTensor, num_classes: int, ids, source, is_labelled=None):
    if is_labelled is not None:
        labels = tf.sparse.retain(labels, tf.gather(is_labelled, labels.indices[:, 0]))
    batch_size = tf.shape(ids, out_type=tf.int64)[0]
    in_range = (labels.values >= 0) & (labels.values < num_classes)
    problem = f"a label is outside [0, num_classes={num_classes})"
    check = require_values(in_range, labels.indices[:, 0], problem, ids, source)
    with tf.control_dependencies([check]):
        rows = tf.stack([labels.indices[:, 0], labels.values], axis=1)
    hits = tf.scatter_nd(rows, tf.ones_like(labels.values, tf.int32), [batch_size, num_classes])
    multi_hot = hits > 0
    multi_hot.set_shape([None, num_classes])
    return multi_hot


def _frame_reader(entries, num_entries, name, size, ids, source):
    """Returns the number of frames, int64 [B], and a function (indices, is_read) -> uint8 [B, slots, size]."""
    is_entry = tf.sequence_mask(num_entries, tf.shape(entries)[1])
    lengths = tf.strings.length(entries, unit="BYTE")
    whole = tf.reduce_all((lengths % size == 0) & (lengths > 0) | ~is_entry, axis=1)
    problem = f"an entry of feature {name!r} is not a whole number of frames of {size} bytes"
    require_records(whole, problem, ids, source)
    even = tf.reduce_all((lengths == lengths[:, :1]) | ~is_entry, axis=1)
    require_records(even, f"the entries of feature {name!r} differ in length", ids, source)
    num_frames = tf.cast(tf.reduce_sum(lengths, axis=1) // size, tf.int64)
    one_frame_an_entry = tf.reduce_all((lengths == size) | ~is_entry)

    def read(indices, is_read):
        def gather_entries():
            return tf.gather(entries, tf.where(is_read, indices, 0), batch_dims=1)

        def cut_from_joined():
            joined = tf.strings.reduce_join(entries, axis=1)[:, None]
            return tf.strings.substr(joined, tf.where(is_read, indices, 0) * size, tf.cast(is_read, tf.int64) * size)

        # A batch of videos without any frame has no entry to gather.
        can_gather = one_frame_an_entry & (tf.shape(entries)[1] > 0)
        picked = tf.cond(can_gather, gather_entries, cut_from_joined)
        picked = tf.where(is_read, picked, "")
        return tf.io.decode_raw(picked, tf.uint8, fixed_length=size)

    return num_frames, read
