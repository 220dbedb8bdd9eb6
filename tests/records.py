"""Tiny records in the official YouTube-8M formats, for all tests.

A dataset of known videos, and the files that hold it:

    schema = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=5, max_frames=20)
    videos = make_videos(schema, 10)
    files = write_videos(tmp_path, videos, schema, num_shards=3)
    videos[0].video_id, videos[0].labels, videos[0].frames, videos[0].means   # what reading the files must give

Frames and means depend on the labels, so that a model can learn them. With `frame_features=False` in the schema
(say, names `("mean_rgb", "mean_audio")`) the same calls write video-level records.

Rated segments: `make_ratings` and `write_segments`; an odd record of them: `with_segments`.

An odd record: `frame_record` and `video_record` serialize what they are given, `write_records` writes it. Real records:
`real_files`.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

REAL_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclasses.dataclass(frozen=True)
class Video:
    """What a record says of a video: `frames` is uint8 [num_frames, feature_width]."""

    video_id: str
    labels: tuple[int, ...]
    frames: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Video-level features, float32 [feature_width]."""
        if not len(self.frames):
            return np.zeros(self.frames.shape[1], np.float32)
        return (self.frames.mean(axis=0) / 64 - 2).astype(np.float32)


def make_videos(schema, count, num_frames=None, seed=0) -> list[Video]:
    """Makes `count` videos with distinct ids (`v000`, ...) and frames, and one to three labels each.

    Args:
      schema: a `RecordSchema`; gives the width, the number of classes and `max_frames`.
      count: how many.
      num_frames: frames of each video: a number, or a sequence that is repeated; None draws from 1 to `max_frames`.
      seed: the same seed gives the same videos.
    """
    rng = np.random.default_rng(seed)
    prototypes = 50 * rng.standard_normal((schema.num_classes, schema.feature_width))
    if num_frames is None:
        num_frames = rng.integers(1, schema.max_frames + 1, size=count)
    num_frames = np.resize(num_frames, count)
    videos = []
    for number in range(count):
        num_labels = rng.integers(1, min(3, schema.num_classes) + 1)
        labels = np.sort(rng.choice(schema.num_classes, num_labels, replace=False))
        noise = 40 * rng.standard_normal((num_frames[number], schema.feature_width))
        frames = np.clip(128 + prototypes[labels].mean(axis=0) + noise, 0, 255).astype(np.uint8)
        videos.append(Video(f"v{number:03}", tuple(labels.tolist()), frames))
    return videos


def write_videos(folder, videos, schema, num_shards=1, prefix="shard", **options) -> list[str]:
    """Writes videos in their order into `<folder>/<prefix>00.tfrecord` and so on; `options` as `record_of`."""
    shards = np.array_split(np.arange(len(videos)), num_shards)
    return [
        write_records(
            pathlib.Path(folder) / f"{prefix}{number:02}.tfrecord",
            [record_of(videos[index], schema, **options) for index in shard],
        )
        for number, shard in enumerate(shards)
    ]


def record_of(video, schema, **options) -> bytes:
    """Serializes a `Video` as the schema says; `options` as `frame_record` or `video_record`."""
    options = {"video_id": video.video_id, "labels": video.labels, **options}
    ends = np.cumsum(schema.feature_sizes)
    values = video.frames if schema.frame_features else video.means
    features = {
        name: values[..., end - size : end] for name, size, end in zip(schema.feature_names, schema.feature_sizes, ends)
    }
    return frame_record(features, **options) if schema.frame_features else video_record(features, **options)


def frame_record(features, video_id="v", labels=(), *, id_key="id", means=None, frames_per_entry=1) -> bytes:
    """Serializes a `tf.train.SequenceExample`.

    Args:
      features: name -> frames, uint8 [num_frames, size], or a list of bytes entries, which are written as they are.
      video_id: text or bytes; None writes no id.
      labels: None writes no `labels` key.
      id_key: `id` or `video_id`.
      means: name -> floats, features to put into the context.
      frames_per_entry: frames in one bytes entry.
    """
    feature_lists = {
        name: tf.train.FeatureList(feature=[_bytes(entry) for entry in _entries(frames, frames_per_entry)])
        for name, frames in features.items()
    }
    return tf.train.SequenceExample(
        context=_context(video_id, labels, id_key, means or {}),
        feature_lists=tf.train.FeatureLists(feature_list=feature_lists),
    ).SerializeToString()


def video_record(means, video_id="v", labels=(), *, id_key="id") -> bytes:
    """Serializes a `tf.train.Example`; arguments as `frame_record`, `means` being name -> floats."""
    return tf.train.Example(features=_context(video_id, labels, id_key, means)).SerializeToString()


def make_ratings(videos, schema, seed=0) -> list[list[tuple[int, int, float]]]:
    """Makes up what people said of each video: triples (class, start time, score 0 or 1).

    One to three segments of a video, of two to four classes each. The video's labels are mostly positive.
    """
    rng = np.random.default_rng(seed)
    ratings = []
    for video in videos:
        starts = 5 * rng.choice(-(-schema.max_frames // 5), min(3, -(-schema.max_frames // 5)), replace=False)
        ratings.append([])
        for start in starts[: rng.integers(1, 4)]:
            for rated in rng.choice(schema.num_classes, min(schema.num_classes, rng.integers(2, 5)), replace=False):
                is_positive = (rated in video.labels) != (rng.random() < 0.2)
                ratings[-1].append((int(rated), int(start), float(is_positive)))
    return ratings


def write_segments(folder, videos, ratings, schema, num_shards=1, prefix="segments") -> list[str]:
    """Writes videos with their ratings, as of `make_ratings`, in order to `<folder>/<prefix>00.tfrecord` and so on."""
    shards = np.array_split(np.arange(len(videos)), num_shards)
    return [
        write_records(
            pathlib.Path(folder) / f"{prefix}{number:02}.tfrecord",
            [with_segments(record_of(videos[index], schema), *zip(*ratings[index])) for index in shard],
        )
        for number, shard in enumerate(shards)
    ]


def with_segments(record, classes=(), start_times=(), scores=()) -> bytes:
    """Adds the parallel lists of rated segments to a frame-level record, whatever their lengths."""
    example = tf.train.SequenceExample.FromString(record)
    end_times = [start_time + 5 for start_time in start_times]
    for name, values in (("labels", classes), ("start_times", start_times), ("end_times", end_times)):
        example.context.feature[f"segment_{name}"].int64_list.value.extend(values)
    example.context.feature["segment_scores"].float_list.value.extend(scores)
    return example.SerializeToString()


def write_records(path, records) -> str:
    """Writes serialized records into one TFRecord file and returns its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def flip_bit(path, position, bit=0) -> None:
    """Damages one byte of a file."""
    path = pathlib.Path(path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def real_files(pattern) -> list[str]:
    """Files of the real records beside the repository, e.g. `audioset/train*.tfrecord`; skips the test without them."""
    files = sorted(map(str, REAL_DATA.glob(pattern)))
    if not files:
        pytest.skip(f"no real records at {REAL_DATA / pattern}")
    return files


def _context(video_id, labels, id_key, means):
    context = {name: tf.train.Feature(float_list=tf.train.FloatList(value=values)) for name, values in means.items()}
    if video_id is not None:
        context[id_key] = _bytes(video_id if isinstance(video_id, bytes) else video_id.encode())
    if labels is not None:
        context["labels"] = tf.train.Feature(int64_list=tf.train.Int64List(value=labels))
    return tf.train.Features(feature=context)


def _entries(frames, frames_per_entry):
    if isinstance(frames, list):
        return frames
    return [frames[start : start + frames_per_entry].tobytes() for start in range(0, len(frames), frames_per_entry)]


def _bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
