"""What a teacher said of one video as a small TFRecord record: its largest probabilities and, if kept, its encoding.

A record is a `tf.train.Example` of
  `id`        bytes: of the video;
  `video`     int64: `fingerprints` of the video's record, all of whose bytes count;
  `classes`   bytes: the classes of the largest probabilities, uint16 [top_n], little-endian as all below;
  `logits`    bytes: log(p / (1 - p)) of these probabilities p, float16 [top_n];
  `rest`      float: the mean probability of all other classes;
  `encoding`  bytes: float16 [encoding_size]; only with an encoding.

Probabilities are kept as logits because float16 would turn 0.9998 into 1 and 1e-8 into 0, of which a temperature makes
something else. As logits, p and 1 - p both keep three digits.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from yt8m_distill.data.record_parser import require_records

_MAX_CLASSES = 2**16
_LEAST_PROBABILITY = 1e-8
_MAX_FINGERPRINT = 2**63 - 1
_REMEDY = "the records have changed: make the cache anew"
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


@dataclasses.dataclass(frozen=True)
class TeacherRecords:
    """The layout of such records.

    Attributes:
      num_classes: C, at most 65,536.
      top_n: classes that keep a probability of their own, 1 to C.
      encoding_size: E, width of the encoding; 0 keeps none.

    Raises:
      ValueError: a number out of range.
    """

    num_classes: int
    top_n: int
    encoding_size: int = 0

    def __post_init__(self):
        if self.num_classes > _MAX_CLASSES:
            raise ValueError(f"A teacher cache holds at most {_MAX_CLASSES} classes. Received: {self.num_classes}.")
        if not 1 <= self.top_n <= self.num_classes:
            raise ValueError(f"top_n must be from 1 to num_classes={self.num_classes}. Received: {self.top_n}.")

    def serialize(self, video_ids, video_fingerprints, predictions, encodings=None) -> list[bytes]:
        """Makes the records of a batch.

        Args:
          video_ids: bytes [B].
          video_fingerprints: int64 [B], as `fingerprints` of the videos' records.
          predictions: probabilities float [B, C].
          encodings: float [B, E], or None without.
        """
        predictions = np.asarray(predictions, np.float64)
        top = np.argpartition(-predictions, self.top_n - 1, axis=1)[:, : self.top_n]  # [B, top_n]
        top.sort(axis=1)
        of_top = np.take_along_axis(predictions, top, axis=1)
        rest = (predictions.sum(axis=1) - of_top.sum(axis=1)) / max(1, self.num_classes - self.top_n)
        features = {
            "id": [_bytes(video_id) for video_id in video_ids],
            "video": [_int64(fingerprint) for fingerprint in video_fingerprints],
            "classes": [_bytes(row.tobytes()) for row in top.astype("<u2")],
            "logits": [_bytes(row.tobytes()) for row in _logits(of_top).astype("<f2")],
            "rest": [_float(value) for value in np.maximum(rest, 0)],
        }
        if self.encoding_size:
            encodings = np.clip(encodings, -_LARGEST_FLOAT16, _LARGEST_FLOAT16).astype("<f2")
            features["encoding"] = [_bytes(row.tobytes()) for row in encodings]
        return [
            tf.train.Example(features=tf.train.Features(feature=dict(zip(features, row)))).SerializeToString()
            for row in zip(*features.values())
        ]

    def parse(self, serialized, video_ids, videos, source) -> dict:
        """Parses the records of a batch, in TensorFlow graph operations.

        Args:
          serialized: string [B].
          video_ids: string [B], the videos that the records must be of.
          videos: string [B], the serialized records of these videos.
          source: string [B], where the videos stand, for error messages.

        Returns:
          `teacher_predictions` float32 [B, C] in [0, 1], and `teacher_encoding` float32 [B, E] if there is one.

        Raises:
          tf.errors.InvalidArgumentError: at run time, for a record of another video, of one that has changed since the
            teacher saw it, or without a feature.
        """
        scalar = tf.io.FixedLenFeature([], tf.string)
        names = ["id", "classes", "logits"] + (["encoding"] if self.encoding_size else [])
        features = {
            **dict.fromkeys(names, scalar),
            "video": tf.io.FixedLenFeature([], tf.int64),
            "rest": tf.io.FixedLenFeature([], tf.float32),
        }
        parsed = tf.io.parse_example(serialized, features, example_names=source)
        is_same_id, is_same_record = tf.equal(parsed["id"], video_ids), tf.equal(parsed["video"], fingerprints(videos))
        checks = [
            require_records(is_same_id, f"the teacher cache holds another video here; {_REMEDY}", video_ids, source),
            require_records(is_same_record, f"it is not as the teacher saw it; {_REMEDY}", video_ids, source),
        ]
        with tf.control_dependencies(checks):
            classes = _decode(parsed["classes"], self.top_n)
        logits = _decode_float16(parsed["logits"], self.top_n)
        parts = {"teacher_predictions": self._dense(classes, logits, parsed["rest"])}
        if self.encoding_size:
            parts["teacher_encoding"] = _decode_float16(parsed["encoding"], self.encoding_size)
        return parts

    def _dense(self, classes, logits, rest):
        rows = tf.range(tf.shape(classes)[0])[:, None] + tf.zeros_like(classes, tf.int32)  # [B, top_n]
        places = tf.stack([rows, tf.cast(classes, tf.int32)], axis=-1)
        others = tf.tile(rest[:, None], [1, self.num_classes])
        predictions = tf.tensor_scatter_nd_update(others, places, tf.sigmoid(logits))
        return tf.ensure_shape(predictions, [None, self.num_classes])


def fingerprints(serialized) -> tf.Tensor:
    """A number for each serialized record, int64 [B], which another record has by an unlikely chance only."""
    return tf.strings.to_hash_bucket_fast(serialized, _MAX_FINGERPRINT)


def _logits(probabilities):
    clipped = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.log(clipped) - np.log1p(-clipped)


def _decode(values, width):
    return tf.io.decode_raw(values, tf.uint16, fixed_length=2 * width)  # [B, width]


def _decode_float16(values, width):
    # decode_raw with a fixed length knows no float16.
    return tf.ensure_shape(tf.cast(tf.bitcast(_decode(values, width), tf.float16), tf.float32), [None, width])


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _float(value):
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
