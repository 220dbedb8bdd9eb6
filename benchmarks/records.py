"""Full-size frame-level records of random bytes: reading takes as long whatever their values."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from yt8m_distill.data import RecordSchema

_LABELS_PER_VIDEO = 3


def schema_of(settings) -> RecordSchema:
    """The layout of the records that `write_records` makes."""
    return RecordSchema(settings.feature_names, settings.feature_sizes, True, settings.num_classes, settings.max_frames)


def real_lengths(count: int, max_frames: int = 300) -> np.ndarray:
    """Frames of `count` videos, ascending int64 [count], spread as in YouTube-8M.

    Of 5,978 videos of the 2018 release 29 % have exactly 300 frames; the median is 232, the mean 230. These are the
    quantiles of such a distribution, so that any number of videos has its mean.
    """
    quantiles = (np.arange(count) + 0.5) / count
    lengths = np.interp(quantiles, [0, 0.01, 0.71], [1, 120, 285])
    return np.where(quantiles < 0.71, np.rint(lengths * max_frames / 300).clip(1), max_frames).astype(np.int64)


def write_records(settings, name: str, lengths: np.ndarray, num_files: int = 1) -> list[str]:
    """Writes `<work_dir>/<name>-00.tfrecord` and so on, each of which holds a video of each length, shuffled.

    Args:
      settings: gives the folder and the sizes.
      name: of the files, and of the videos in them.
      lengths: frames of the videos of one file, int [count].
      num_files: how many files.

    Returns:
      The paths.
    """
    paths = []
    for number in range(num_files):
        rng = np.random.default_rng([number, len(lengths)])
        paths.append(os.path.join(settings.work_dir, f"{name}-{number:02}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for index, num_frames in enumerate(rng.permutation(lengths)):
                writer.write(_record(rng, settings, f"{name}-{number:02}-{index:04}", num_frames))
    return paths


def _record(rng, settings, video_id, num_frames):
    labels = np.sort(rng.choice(settings.num_classes, _LABELS_PER_VIDEO, replace=False))
    context = {
        "id": _bytes_feature(video_id.encode()),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
    }
    feature_lists = {
        name: tf.train.FeatureList(feature=[_bytes_feature(rng.bytes(size)) for _ in range(num_frames)])
        for name, size in zip(settings.feature_names, settings.feature_sizes)
    }
    example = tf.train.SequenceExample(
        context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=feature_lists)
    )
    return example.SerializeToString()


def _bytes_feature(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
