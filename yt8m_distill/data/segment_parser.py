"""Rated segments of the 2019 challenge: five seconds of a video in which people looked for some of the classes.

The context of a frame-level record holds them as parallel lists, an entry for each rated pair of a segment and a class:
`segment_labels` (the class), `segment_start_times` (in seconds, which is the index of a frame) and `segment_scores`
(above 0: the class is there). `segment_end_times` is not read: every segment has `SEGMENT_LENGTH` frames.

Source: the segment part of the original's `readers.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from yt8m_distill.data.record_parser import ID_FEATURES, open_frame_level, require_records, require_values, video_ids_of
from yt8m_distill.data.schema import RecordSchema

# Frames of a segment, at one frame a second.
SEGMENT_LENGTH = 5

SEGMENT_LABELS = "segment_labels"
SEGMENT_START_TIMES = "segment_start_times"
SEGMENT_SCORES = "segment_scores"

_SEGMENT_FEATURES = {
    SEGMENT_LABELS: tf.io.VarLenFeature(tf.int64),
    SEGMENT_START_TIMES: tf.io.VarLenFeature(tf.int64),
    SEGMENT_SCORES: tf.io.VarLenFeature(tf.float32),
}


def parse_rated_segments(serialized, schema: RecordSchema, source=None) -> dict:
    """Parses the rated segments of frame-level records and decodes their frames only.

    A record gives one example for each start time, in the order in which they first appear; none without ratings. A
    segment ends with its video, where the original goes on with rows of zeros: so it may have fewer than five frames,
    and none if it starts at the video's end or later (or at `max_frames` or later). It is an example all the same: its
    ratings count. Of a pair that is rated twice, the last score holds.

    Args:
      serialized: string [B].
      schema: layout of the records.
      source: string [B], where each record stands, for error messages.

    Returns:
      For the n segments of the records: `video_ids` string [n], `start_times` int64 [n], `frames` uint8
      [n, SEGMENT_LENGTH, feature_width], `num_frames` int32 [n], `labels` bool [n, num_classes], True where the score
      is above 0, and `label_weights` float32 [n, num_classes], 1 for rated classes and 0 for the others.

    Raises:
      tf.errors.InvalidArgumentError: at run time, for records that `parse_frame_level` rejects, lists of different
        length, a class outside [0, num_classes), a negative start time, or a score that is NaN or infinite.
    """
    records = open_frame_level(serialized, schema, _SEGMENT_FEATURES, source)
    pairs = _rated_pairs(records.context, records.video_ids, source, schema.num_classes)
    # Unique rows of (record, start time), in order of first appearance.
    segments, segment_of_pair = tf.raw_ops.UniqueV2(
        x=tf.stack([pairs.rows, pairs.start_times], axis=1), axis=[0], out_idx=tf.int64
    )
    rows, start_times = segments[:, 0], segments[:, 1]
    num_frames = tf.clip_by_value(tf.gather(records.num_frames, rows) - start_times, 0, SEGMENT_LENGTH)
    labels, is_rated = _ratings_of_segments(pairs, segment_of_pair, tf.shape(rows)[0], schema.num_classes)
    return {
        "video_ids": tf.gather(records.video_ids, rows),
        "start_times": start_times,
        "frames": _read_segments(records, rows, start_times, schema),
        "num_frames": tf.cast(num_frames, tf.int32),
        "labels": labels,
        "label_weights": tf.cast(is_rated, tf.float32),
    }


def parse_segment_ratings(serialized, source=None) -> dict:
    """Parses the ratings alone, of records with any features.

    Args:
      serialized: string [B].
      source: string [B], where each record stands, for error messages.

    Returns:
      For the P rated pairs of the records, in their order: `video_ids` string [P], `start_times` int64 [P], `classes`
      int64 [P] and `scores` float32 [P].

    Raises:
      tf.errors.InvalidArgumentError: at run time, for a record without an id, lists of different length, a negative
        class or start time, or a score that is NaN or infinite.
    """
    # The context of a SequenceExample and an Example share their place in the wire format.
    context = tf.io.parse_example(serialized, {**ID_FEATURES, **_SEGMENT_FEATURES}, example_names=source)
    ids = video_ids_of(context, source)
    pairs = _rated_pairs(context, ids, source)
    return {
        "video_ids": tf.gather(ids, pairs.rows),
        "start_times": pairs.start_times,
        "classes": pairs.classes,
        "scores": pairs.scores,
    }


class _RatedPairs(NamedTuple):
    """Rated pairs of a segment and a class, all of shape [P], in the order of the records."""

    rows: tf.Tensor  # int64, which of the records
    start_times: tf.Tensor  # int64
    classes: tf.Tensor  # int64
    scores: tf.Tensor  # float32


def _rated_pairs(context, ids, source, num_classes=None):
    classes, start_times, scores = (context[name] for name in _SEGMENT_FEATURES)

    def lengths(values):
        ones = tf.ones_like(values.indices[:, 0])
        return tf.math.unsorted_segment_sum(ones, values.indices[:, 0], tf.shape(ids, out_type=tf.int64)[0])

    checks = [
        require_records(
            tf.equal(lengths(other), lengths(classes)),
            f"{SEGMENT_LABELS} and {name} have different lengths",
            ids,
            source,
        )
        for name, other in ((SEGMENT_START_TIMES, start_times), (SEGMENT_SCORES, scores))
    ]
    is_class, allowed = classes.values >= 0, "non-negative"
    if num_classes is not None:
        is_class, allowed = is_class & (classes.values < num_classes), f"in [0, num_classes={num_classes})"
    problem = f"a value of {SEGMENT_LABELS} is not {allowed}"
    checks.append(require_values(is_class, classes.indices[:, 0], problem, ids, source))
    problem = f"a value of {SEGMENT_START_TIMES} is negative"
    checks.append(require_values(start_times.values >= 0, start_times.indices[:, 0], problem, ids, source))
    problem = f"a value of {SEGMENT_SCORES} is not a finite number"
    checks.append(require_values(tf.math.is_finite(scores.values), scores.indices[:, 0], problem, ids, source))
    with tf.control_dependencies(checks):  # before operations that would fail on such values in words of their own
        values = classes.indices[:, 0], start_times.values, classes.values, scores.values
        return _RatedPairs(*map(tf.identity, values))


def _ratings_of_segments(pairs, segment_of_pair, num_segments, num_classes):
    """Labels and is_rated, bool [n, num_classes]."""
    places = tf.stack([segment_of_pair, pairs.classes], axis=1)  # [P, 2]
    order = tf.range(1, tf.shape(places)[0] + 1)  # 0 stands for no rating
    last = tf.tensor_scatter_nd_max(tf.zeros([num_segments, num_classes], tf.int32), places, order)
    last.set_shape([None, num_classes])
    scores = tf.concat([[0.0], pairs.scores], axis=0)
    return tf.gather(scores, last) > 0, last > 0


def _read_segments(records, rows, start_times, schema):
    """Frames uint8 [n, SEGMENT_LENGTH, feature_width] of n segments, whose `rows` ascend."""
    num_records = tf.shape(records.video_ids, out_type=tf.int64)[0]
    # Beyond any frame: where a record has fewer segments than another, and a start so late that adding to it overflows.
    nowhere = tf.constant(schema.max_frames, tf.int64)
    segments = tf.RaggedTensor.from_value_rowids(tf.minimum(start_times, nowhere), rows, num_records, validate=False)
    starts = segments.to_tensor(default_value=nowhere)  # [B, S]
    indices = starts[:, :, None] + tf.range(SEGMENT_LENGTH, dtype=tf.int64)
    indices = tf.reshape(indices, [num_records, tf.shape(starts)[1] * SEGMENT_LENGTH])
    frames = records.read(indices, indices < records.num_frames[:, None])
    shape = [num_records, tf.shape(starts, out_type=tf.int64)[1], SEGMENT_LENGTH, schema.feature_width]
    is_segment = tf.sequence_mask(segments.row_lengths(), tf.shape(starts)[1])
    return tf.boolean_mask(tf.reshape(frames, shape), is_segment)
