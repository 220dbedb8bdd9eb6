"""A video cut into consecutive segments, to predict each of them (`inference.py --segment_labels`)."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.data.segment_parser import SEGMENT_LENGTH


def cut_into_windows(parsed: dict) -> dict:
    """Cuts whole videos into windows of `SEGMENT_LENGTH` frames that start at 0, 5, 10, ... while there are frames.

    A last window with fewer frames has rows of zeros after them.

    Args:
      parsed: what `parse_frame_level` returned without a sampler, B videos.

    Returns:
      For the n windows of all videos, in their order: `video_ids` string [n], `start_times` int64 [n], `frames` uint8
      [n, SEGMENT_LENGTH, feature_width] and `num_frames` int32 [n], 1 to SEGMENT_LENGTH.
    """
    frames, num_frames = parsed["frames"], parsed["num_frames"]
    max_frames, width = frames.shape[1:]
    num_windows = -(-max_frames // SEGMENT_LENGTH)
    frames = tf.pad(frames, [[0, 0], [0, num_windows * SEGMENT_LENGTH - max_frames], [0, 0]])
    windows = tf.reshape(frames, [-1, num_windows, SEGMENT_LENGTH, width])
    starts = tf.range(num_windows) * SEGMENT_LENGTH
    frames_left = num_frames[:, None] - starts  # [B, num_windows]
    places = tf.where(frames_left > 0)  # [n, 2]
    return {
        "video_ids": tf.gather(parsed["video_ids"], places[:, 0]),
        "start_times": places[:, 1] * SEGMENT_LENGTH,
        "frames": tf.gather_nd(windows, places),
        "num_frames": tf.minimum(tf.gather_nd(frames_left, places), SEGMENT_LENGTH),
    }
