"""How a video's frames vary: the figures by which invented frames are compared with real ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

# A step is nearly still if it is smaller than this, as root mean square of the change of a dequantised value. On the
# real record most steps are below 0.1 or above 0.5.
STILL_STEP = 0.1
_LAGS = (1, 5)
_NUM_LEADING_DIRECTIONS = 10
MIN_FRAMES = 20

# What `frame_statistics` says of a real video: SjJ3 of the 2018 release (170 frames), published by Google under
# CC BY 4.0. One in four of its steps is nearly still in picture and sound alike, most of them in a title card at the
# beginning and a closing card; between these (frames 14 to 143) one in eleven.
REAL_STATISTICS = {
    "rgb": {
        "std": 0.971,
        "std_spread": 0.106,
        "lag_1": 0.403,
        "lag_5": 0.142,
        "still_steps": 0.290,
        "leading_directions": 0.392,
        "clipped": 0.071,
    },
    "audio": {
        "std": 0.923,
        "std_spread": 0.120,
        "lag_1": 0.466,
        "lag_5": 0.200,
        "still_steps": 0.361,
        "leading_directions": 0.633,
        "clipped": 0.092,
    },
}


def dequantized(frames: np.ndarray) -> np.ndarray:
    """Bytes to float32 features: q (4/255) + (4/512 - 2), as the models' input layer does (the original's formula)."""
    return frames.astype(np.float32) * np.float32(4 / 255) + np.float32(4 / 512 - 2)


def frame_statistics(frames: np.ndarray) -> dict[str, float]:
    """Statistics of one feature within one video.

    Args:
      frames: uint8 [num_frames, size], of `MIN_FRAMES` or more.

    Returns:
      `std`: standard deviation of a value around its mean over the frames, root mean square over the values.
      `std_spread`: how much that differs between the values: standard deviation over the values of each one's `std`.
      `lag_1`, `lag_5`: autocorrelation, of all values together: sum of products of deviations so many frames apart,
        over the sum of squared deviations.
      `still_steps`: share of the steps from frame to frame that are nearly still (below `STILL_STEP`).
      `leading_directions`: share of the variance that lies in the 10 leading directions (principal components).
      `clipped`: share of the bytes that are 0 or 255.

    Raises:
      ValueError: there are fewer frames, or all are equal.
    """
    if len(frames) < MIN_FRAMES:
        raise ValueError(f"Statistics need a video of {MIN_FRAMES} frames or more. Received: {len(frames)}.")
    features = dequantized(frames)
    deviations = features - features.mean(axis=0)
    energy = np.sum(deviations**2)
    if energy == 0:
        raise ValueError(f"Statistics need frames that differ. Received: {len(frames)} equal ones.")
    steps = np.sqrt(np.mean(np.diff(features, axis=0) ** 2, axis=1))
    variances = np.linalg.eigvalsh(deviations @ deviations.T)
    return {
        "std": float(np.sqrt(np.mean(deviations**2))),
        "std_spread": float(np.std(deviations.std(axis=0))),
        **{f"lag_{lag}": float(np.sum(deviations[lag:] * deviations[:-lag]) / energy) for lag in _LAGS},
        "still_steps": float(np.mean(steps < STILL_STEP)),
        "leading_directions": float(variances[-_NUM_LEADING_DIRECTIONS:].sum() / energy),
        "clipped": float(np.mean((frames == 0) | (frames == 255))),
    }


def read_frames(path: str, num_videos: int | None = None) -> Iterator[tuple[str, list[int], dict[str, np.ndarray]]]:
    """Id, labels and frames (feature name -> uint8 [num_frames, size]) of a file's first videos, one by one.

    For looking at a few videos; `data.pipeline` is for reading many.
    """
    dataset = tf.data.TFRecordDataset(path)
    for record in dataset.take(-1 if num_videos is None else num_videos).as_numpy_iterator():
        example = tf.train.SequenceExample.FromString(record)
        frames = {
            name: np.stack([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in values.feature])
            for name, values in example.feature_lists.feature_list.items()
        }
        context = example.context.feature
        yield context["id"].bytes_list.value[0].decode(), list(context["labels"].int64_list.value), frames
