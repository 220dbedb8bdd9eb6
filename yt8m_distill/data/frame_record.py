"""Frame-level records in the official format, as bytes: `tf.train.SequenceExample`s of whole arrays of frames.

The messages of TensorFlow would need one Python object a frame and feature, hundreds a video. Here the bytes that
precede a frame are written once for all frames of a feature.

Wire format: https://protobuf.dev/programming-guides/encoding; messages: TensorFlow's example.proto and feature.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_BYTES_LIST, _INT64_LIST = 1, 3  # the kinds of `tf.train.Feature`


def serialize_frames(video_id: str, labels: Sequence[int], features: Mapping[str, np.ndarray]) -> bytes:
    """Serializes one video with `id` and `labels` in its context, as the 2018 release has them.

    Args:
      video_id: of the video.
      labels: its classes, not negative.
      features: name -> uint8 [num_frames, size], one bytes value a frame.
    """
    packed_labels = _field(1, b"".join(map(_varint, labels))) if len(labels) else b""
    context = _entry("id", _field(_BYTES_LIST, _field(1, video_id.encode())))
    context += _entry("labels", _field(_INT64_LIST, packed_labels))
    lists = b"".join(_entry(name, _feature_list(frames)) for name, frames in features.items())
    return _field(1, context) + _field(2, lists)


def frame_header(size: int) -> bytes:
    """What precedes the bytes of a frame in its feature list: feature { bytes_list { value: ... } }."""
    header = b""
    for _ in range(3):
        header = _tag(1) + _varint(len(header) + size) + header
    return header


def _feature_list(frames):
    """`FeatureList { feature { bytes_list { value } } ... }` with one feature a frame."""
    num_frames, size = frames.shape
    header = frame_header(size)
    rows = np.empty((num_frames, len(header) + size), np.uint8)
    rows[:, : len(header)] = np.frombuffer(header, np.uint8)
    rows[:, len(header) :] = frames
    return rows.tobytes()


def _entry(key, value):
    """An entry of a map, which is field 1 of its message."""
    return _field(1, _field(1, key.encode()) + _field(2, value))


def _field(number, value):
    return _tag(number) + _varint(len(value)) + value


def _tag(number):
    return bytes([number << 3 | 2])  # wire type 2: a length and so many bytes


def _varint(value):
    digits = []
    while value >= 128:
        digits.append(value % 128 + 128)
        value //= 128
    return bytes([*digits, value])
