"""Where the frames of serialized records are, so that those that are read can be cut out and no other is copied.

A frame-level record is a `tf.train.SequenceExample`, nearly all of which is frames, and TensorFlow's parser makes a
string of each of them, read or not. But writers lay records out alike: the context, then the feature lists, and in each
list the frames one after the other, all of one size, each behind the same few bytes. Where that is so, and every byte
that is no frame's value is checked, frame i starts i strides after the first.

Wire format: https://protobuf.dev/programming-guides/encoding; messages: TensorFlow's example.proto and feature.proto.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from yt8m_distill.data.frame_record import frame_header

# The tags of fields number 1 and 2 that hold a length and so many bytes.
_FIELD_1, _FIELD_2 = 0x0A, 0x12
# Lengths below 2**28, as they are in records that TensorFlow can read, take up to four bytes behind the tag.
_LENGTH_BYTES = 4
# Of a record, also those that are not asked for; YouTube-8M has two. More are left to the full parser.
_MAX_FEATURE_LISTS = 8


class FrameLayout(NamedTuple):
    """Places of the frames of one feature in a batch of records.

    Attributes:
      starts: int64 [B], the byte at which the first frame's entry starts.
      num_frames: int64 [B].
      header: the bytes before each frame's value.
      size: bytes of a frame.
    """

    starts: tf.Tensor
    num_frames: tf.Tensor
    header: bytes
    size: int

    @property
    def stride(self) -> int:
        return len(self.header) + self.size


def find_frames(serialized, feature_names, feature_sizes):
    """Finds the frames of a batch of records, if all of these are laid out as said above.

    Args:
      serialized: string [B], `SequenceExample`s or anything else.
      feature_names: of the feature lists to find.
      feature_sizes: bytes of a frame of each.

    Returns:
      is_regular: bool scalar. If it is False the layouts mean nothing, and only a full parser can tell what the records
        hold, or what is wrong with them.
      contexts: string [B], the records without their feature lists; the whole records if these are not regular.
      layouts: a `FrameLayout` for each feature.
    """
    record_end = tf.cast(tf.strings.length(serialized), tf.int64)  # [B]
    context = _field(serialized, record_end, tf.zeros_like(record_end), _FIELD_1)
    lists = _field(serialized, record_end, context.end, _FIELD_2)
    is_regular = context.ok & lists.ok & tf.equal(lists.end, record_end)
    is_regular, times, starts, ends = _find_lists(serialized, record_end, lists.start, is_regular, feature_names)
    is_regular &= tf.reduce_all(tf.equal(times, 1), axis=0)
    layouts = []
    for row, size in enumerate(feature_sizes):
        header = frame_header(size)
        num_bytes = tf.where(is_regular, ends[row] - starts[row], 0)
        is_regular &= tf.equal(num_bytes % (len(header) + size), 0)
        num_frames = tf.where(is_regular, num_bytes // (len(header) + size), 0)
        layouts.append(FrameLayout(starts[row], num_frames, header, size))
    is_regular &= tf.reduce_all(tf.stack([_headers_match(serialized, layout) for layout in layouts]), axis=0)
    are_all_regular = tf.reduce_all(is_regular)
    ends = tf.where(are_all_regular, context.end, record_end)
    return are_all_regular, tf.strings.substr(serialized, tf.zeros_like(ends), ends), layouts


def cut_frames(serialized, layout: FrameLayout, indices, is_read):
    """Frames by their numbers, uint8 [B, slots, size]; rows that are not read are 0.

    Args:
      serialized: string [B].
      layout: of the feature, from `find_frames`.
      indices: int64 [B, slots]; of rows that are not read, anything.
      is_read: bool [B, slots].
    """
    positions = layout.starts[:, None] + indices * layout.stride + len(layout.header)
    frames = _cut(serialized, tf.where(is_read, positions, 0), tf.where(is_read, tf.constant(layout.size, tf.int64), 0))
    return tf.io.decode_raw(frames, tf.uint8, fixed_length=layout.size)


class _Field(NamedTuple):
    """A field in each record: whether it is there, and where its value starts and ends."""

    ok: tf.Tensor  # bool [B]
    start: tf.Tensor  # int64 [B]
    end: tf.Tensor  # int64 [B]


def _field(serialized, record_end, position, tag):
    """The field that must stand at `position`, int64 [B]."""
    num_bytes = tf.fill(tf.shape(position), tf.constant(1 + _LENGTH_BYTES, tf.int64))
    header = tf.strings.substr(serialized, tf.minimum(position, record_end), num_bytes)
    header = tf.cast(tf.io.decode_raw(header, tf.uint8, fixed_length=1 + _LENGTH_BYTES), tf.int64)  # [B, 5]
    digits = header[:, 1:]
    # The high bit of a byte says that another one follows.
    in_use = tf.math.cumprod(digits // 128, axis=1, exclusive=True)  # [B, 4]
    weights = tf.constant([128**place for place in range(_LENGTH_BYTES)], tf.int64)
    length = tf.reduce_sum(in_use * (digits % 128) * weights, axis=1)
    start = position + 1 + tf.reduce_sum(in_use, axis=1)
    is_whole = in_use[:, -1] * digits[:, -1] < 128
    return _Field(tf.equal(header[:, 0], tag) & is_whole & (start + length <= record_end), start, start + length)


def _find_lists(serialized, record_end, position, ok, names):
    """Walks over the feature lists, the first of which is at `position`.

    Returns:
      Which records hold feature lists and nothing else, bool [B]; and for each name, how often it occurs, and where its
      list starts and ends, int64 [names, B].
    """

    def goes_on(position, ok, *_):
        return tf.reduce_any(ok & (position < record_end))

    def next_list(position, ok, times, starts, ends):
        is_here = ok & (position < record_end)
        entry = _field(serialized, record_end, position, _FIELD_1)
        key = _field(serialized, record_end, entry.start, _FIELD_1)
        values = _field(serialized, record_end, key.end, _FIELD_2)
        is_list = entry.ok & key.ok & values.ok & tf.equal(values.end, entry.end)
        name = tf.strings.substr(serialized, tf.minimum(key.start, record_end), key.end - key.start)
        is_named = is_here & is_list & tf.equal(name, tf.constant(names)[:, None])  # [names, B]
        return (
            tf.where(is_here & is_list, entry.end, position),
            ok & (is_list | ~is_here),
            times + tf.cast(is_named, tf.int64),
            tf.where(is_named, values.start, starts),
            tf.where(is_named, values.end, ends),
        )

    nowhere = tf.zeros([len(names), tf.shape(record_end)[0]], tf.int64)
    state = position, ok, nowhere, nowhere, nowhere
    position, ok, times, starts, ends = tf.while_loop(goes_on, next_list, state, maximum_iterations=_MAX_FEATURE_LISTS)
    return ok & tf.equal(position, record_end), times, starts, ends


def _headers_match(serialized, layout):
    """Whether every entry of the list is a frame of the layout's size, bool [B]."""
    numbers = tf.range(tf.reduce_max(tf.concat([layout.num_frames, [0]], axis=0)))
    is_frame = numbers < layout.num_frames[:, None]  # [B, N]
    positions = tf.where(is_frame, layout.starts[:, None] + numbers * layout.stride, 0)
    length = len(layout.header)
    headers = _cut(serialized, positions, tf.where(is_frame, tf.constant(length, tf.int64), 0))
    headers = tf.io.decode_raw(headers, tf.uint8, fixed_length=length)  # [B, N, length]
    is_match = tf.reduce_all(tf.equal(headers, list(layout.header)), axis=2)
    return tf.reduce_all(is_match | ~is_frame, axis=1)


def _cut(serialized, positions, lengths):
    """Substrings, string [B, N]. Not `serialized[:, None]`: slicing strings copies them."""
    return tf.strings.substr(tf.expand_dims(serialized, 1), positions, lengths)
