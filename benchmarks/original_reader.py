"""How the original starter code reads frame-level records, to compare with.

Written anew after `YT8MFrameFeatureReader` of its readers.py: one record at a time, all frames are decoded, cast to
float32, dequantised and padded to 300; records are then put into batches. Queues and threads are tf.data here, which is
not to its disadvantage: as many parses as there are cores run at once.
"""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.data import RecordSchema

_MAX_QUANTIZED_VALUE, _MIN_QUANTIZED_VALUE = 2, -2


def original_dataset(
    files: list[str], schema: RecordSchema, batch_size: int, num_readers: int, num_sampled_frames=None
):
    """All records in batches.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      batch_size: records a batch.
      num_readers: files read at once.
      num_sampled_frames: pick so many frames of each batch as the authors of the paper do, at equal distances from
        the padded `max_frames`; None for all frames.

    Returns:
      A dataset of (video_ids string [B], frames float32 [B, T, feature_width], labels bool [B, num_classes],
      num_frames int32 [B]).
    """
    dataset = tf.data.Dataset.from_tensor_slices(files)
    num_readers = min(num_readers, len(files))
    dataset = dataset.interleave(tf.data.TFRecordDataset, cycle_length=num_readers, num_parallel_calls=num_readers)
    dataset = dataset.map(lambda record: _read_record(record, schema), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size)
    if num_sampled_frames is not None:
        every = schema.max_frames // num_sampled_frames
        indices = list(range(0, every * num_sampled_frames, every))
        dataset = dataset.map(lambda ids, frames, *rest: (ids, tf.gather(frames, indices, axis=1), *rest))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _read_record(record, schema):
    context, features = tf.io.parse_single_sequence_example(
        record,
        context_features={"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)},
        sequence_features={name: tf.io.FixedLenSequenceFeature([], tf.string) for name in schema.feature_names},
    )
    values = tf.ones_like(context["labels"].values, tf.bool)
    labels = tf.sparse.SparseTensor(context["labels"].values[:, None], values, [schema.num_classes])
    labels = tf.sparse.to_dense(labels, default_value=False, validate_indices=False)
    matrices = [
        _read_frames(features[name], size, schema.max_frames)
        for name, size in zip(schema.feature_names, schema.feature_sizes)
    ]
    frames = tf.concat([matrix for matrix, _ in matrices], axis=1)
    return context["id"], frames, labels, matrices[0][1]


def _read_frames(entries, size, max_frames):
    decoded = tf.reshape(tf.cast(tf.io.decode_raw(entries, tf.uint8), tf.float32), [-1, size])
    num_frames = tf.minimum(tf.shape(decoded)[0], max_frames)
    return _pad(_dequantize(decoded), size, max_frames), num_frames


def _dequantize(values):
    quantized_range = _MAX_QUANTIZED_VALUE - _MIN_QUANTIZED_VALUE
    return values * (quantized_range / 255.0) + (quantized_range / 512.0 + _MIN_QUANTIZED_VALUE)


def _pad(matrix, size, max_frames):
    kept = matrix[:max_frames]
    padded = tf.pad(kept, [[0, max_frames - tf.shape(kept)[0]], [0, 0]])
    padded.set_shape([max_frames, size])
    return padded
