"""Synthetic frame-level records in the official format, to try the whole workflow without the 1.5 TB dataset.

What is realistic: the record format, frames per video (1 to 300, 29 % with 300; somewhat fewer than real ones in the
mean), labels per video (mean near 3), Zipf-like class frequencies, bytes over their full range, spread within a video
against spread between videos, and labels that only some of a video's shots show. What is invented: the features
themselves. Where real video-level records are at hand, `reframing` makes frames whose features are real in the mean.
"""

from __future__ import annotations

import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from yt8m_distill.data.atomic_file import atomic_path
from yt8m_distill.data.frame_record import serialize_frames

FEATURE_NAMES = ("rgb", "audio")
FEATURE_SIZES = (1024, 128)
MAX_FRAMES = 300

_SHARE_OF_FULL_LENGTH = 0.29
# Spread of one dequantised feature value, as measured on real records: of the videos' means, and within a video.
_STD_BETWEEN_VIDEOS = 0.46
_STD_WITHIN_VIDEO = 0.97
_MEAN_SHOT_SECONDS = 8
_SHARE_OF_SHOTS = (0.05, 0.6)


def _spread_of_values():
    """Spread between videos of each feature value: of principal components, the leading ones tell most."""
    decay = np.concatenate([1 / np.sqrt(np.arange(size) + 8.0) for size in FEATURE_SIZES])
    return (decay * _STD_BETWEEN_VIDEOS / np.sqrt(np.mean(decay**2))).astype(np.float32)


_SPREAD_OF_VALUES = _spread_of_values()


@dataclasses.dataclass(frozen=True)
class SyntheticVideos:
    """A world of videos: what its classes look like and how videos are made of them.

    A video is a sequence of shots. Each label has its share of the shots; a shot shows its labels' prototypes, faint
    against what all of the video's frames have in common and against the noise of each frame. So one frame says little,
    all frames together say much, and a label can be missed by looking at few frames.

    Attributes:
      num_classes: size of the vocabulary.
      seed: of the classes' prototypes and of all videos.
      label_strength: amplitude of a prototype, where a shot shows it, in units of the spread between videos.
      mean_labels: mean number of labels of a video.
    """

    num_classes: int = 100
    seed: int = 0
    label_strength: float = 0.5
    mean_labels: float = 3.0

    def record(self, number: int) -> bytes:
        """Serialized `tf.train.SequenceExample` of one video; the same `number` always gives the same video."""
        rng = np.random.default_rng([self.seed, number])
        labels = self._draw_labels(rng)
        num_frames = _draw_num_frames(rng)
        features = self._draw_frames(rng, labels, num_frames)  # float32 [num_frames, 1152]
        video_id = np.base_repr(36**3 + number, 36)[-4:]
        parts = np.split(quantize(features), np.cumsum(FEATURE_SIZES)[:-1], axis=1)
        return serialize_frames(video_id, sorted(labels.tolist()), dict(zip(FEATURE_NAMES, parts)))

    @functools.cached_property
    def prototypes(self) -> np.ndarray:
        """What each class looks like, float32 [num_classes, 1152]."""
        rng = np.random.default_rng([self.seed, 2**31])
        return rng.standard_normal((self.num_classes, sum(FEATURE_SIZES)), np.float32) * _SPREAD_OF_VALUES

    def _draw_labels(self, rng):
        frequencies = 1 / (np.arange(self.num_classes) + 2.0)
        wanted = min(20, self.num_classes, 1 + rng.poisson(self.mean_labels - 1))
        return rng.choice(self.num_classes, size=wanted, replace=False, p=frequencies / frequencies.sum())

    def _draw_frames(self, rng, labels, num_frames):
        width = sum(FEATURE_SIZES)
        shot_of_frame = np.cumsum(rng.random(num_frames) < 1 / _MEAN_SHOT_SECONDS)
        num_shots = shot_of_frame[-1] + 1
        # A label is in all of the video or in few shots of it, but in one at least.
        is_shown = rng.random((num_shots, len(labels))) < rng.uniform(*_SHARE_OF_SHOTS, len(labels))
        is_shown[rng.integers(num_shots, size=len(labels)), np.arange(len(labels))] = True
        shots = self.label_strength * is_shown.astype(np.float32) @ self.prototypes[labels]
        shots += rng.standard_normal(width, np.float32) * _SPREAD_OF_VALUES
        frames = rng.standard_normal((num_frames, width), np.float32)
        frames *= _STD_WITHIN_VIDEO
        frames += shots[shot_of_frame]
        return frames


def write_synthetic_shards(
    directory: str, prefix: str, videos: SyntheticVideos, first: int, num_videos: int, num_shards: int
) -> list[str]:
    """Writes videos number `first` to `first + num_videos - 1` of a world as TFRecord shards.

    Returns:
      The paths, `<directory>/<prefix>0000.tfrecord` and so on.
    """
    os.makedirs(directory, exist_ok=True)
    bounds = np.linspace(first, first + num_videos, num_shards + 1).astype(int)
    paths = []
    for shard, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:])):
        paths.append(os.path.join(directory, f"{prefix}{shard:04}.tfrecord"))
        with atomic_path(paths[-1]) as partial, tf.io.TFRecordWriter(partial) as writer:
            for number in range(start, stop):
                writer.write(videos.record(number))
    return paths


def quantize(features: np.ndarray) -> np.ndarray:
    """Features to bytes as the original's feature extractor does: clip to [-2, 2], then round((x + 2) 255/4)."""
    return np.rint((np.clip(features, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


def _draw_num_frames(rng):
    if rng.random() < _SHARE_OF_FULL_LENGTH:
        return MAX_FRAMES
    return int(rng.triangular(1, 210, MAX_FRAMES))
