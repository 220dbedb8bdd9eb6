"""Rated segments through `training_dataset` and `evaluation_dataset`."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import tensorflow as tf

from tests.records import (
    frame_record,
    make_ratings,
    make_videos,
    record_of,
    with_segments,
    write_records,
    write_segments,
    write_videos,
)
from yt8m_distill.data import pipeline
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.pipeline import evaluation_dataset, readable_errors, training_dataset
from yt8m_distill.data.schema import RecordSchema

SCHEMA = RecordSchema(("rgb", "audio"), (3, 2), frame_features=True, num_classes=6, max_frames=15)
# Every frame is full, so that its bytes tell which segment it is of.
VIDEOS = make_videos(SCHEMA, 30, num_frames=15)
RATINGS = make_ratings(VIDEOS, SCHEMA)
# The ninth video was rated for nothing.
RATINGS[8] = []
# What people said of each segment, by its frames: {class: score}.
EXPECTED: dict = {}
for _video, _ratings in zip(VIDEOS, RATINGS):
    for _class, _start, _score in _ratings:
        EXPECTED.setdefault(_video.frames[_start : _start + 5].tobytes(), {})[_class] = _score
NUM_SEGMENTS = len(EXPECTED)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segments")
    return [*write_segments(folder, VIDEOS, RATINGS, SCHEMA, num_shards=4), write_records(folder / "z", [])]


def training(files, batch_size=4, **options):
    """One epoch of training on segments: list of batches, each a list of the segments' frames as bytes."""
    dataset = training_dataset(files, SCHEMA, batch_size, segments=True, **options)
    return [[frames.tobytes() for frames in inputs["frames"]] for inputs, *_ in dataset.as_numpy_iterator()]


@pytest.fixture(scope="module")
def an_epoch(files):
    return training(files, seed=1, epoch=2)


def check_examples(batches):
    """Batches of (frames, num_frames, labels, label_weights): every segment once, with its ratings."""
    left = dict(EXPECTED)
    for batch in batches:
        for frames, num_frames, labels, label_weights in zip(*batch):
            scores = left.pop(frames.tobytes())
            assert num_frames == 5
            assert labels.tolist() == [scores.get(c, 0) > 0 for c in range(6)]
            assert label_weights.tolist() == [float(c in scores) for c in range(6)]
    assert not left


def test_there_is_something_to_test():
    assert NUM_SEGMENTS > 40 and any(1 in scores.values() for scores in EXPECTED.values())


def test_training_batches_have_the_size_asked_for(files):
    dataset = training_dataset(files, SCHEMA, 7, segments=True)
    assert dataset.element_spec == (
        {"frames": tf.TensorSpec([None, 5, 5], tf.uint8), "num_frames": tf.TensorSpec([None], tf.int32)},
        tf.TensorSpec([None, 6], tf.bool),
        tf.TensorSpec([None, 6], tf.float32),
    )
    batches = [
        (inputs["frames"], inputs["num_frames"], labels, label_weights)
        for inputs, labels, label_weights in dataset.as_numpy_iterator()
    ]
    check_examples(batches)
    sizes = [len(batch[0]) for batch in batches]
    assert sizes == [7] * (NUM_SEGMENTS // 7) + ([NUM_SEGMENTS % 7] if NUM_SEGMENTS % 7 else [])


def test_the_order_depends_on_seed_and_epoch_alone(files, an_epoch):
    tf.random.set_seed(5)
    assert training(files, seed=1, epoch=2) == an_epoch
    tf.random.set_seed(None)
    for options in ({"seed": 2, "epoch": 2}, {"seed": 1, "epoch": 3}):
        other = training(files, **options)
        assert other != an_epoch and sorted(chain(*other)) == sorted(chain(*an_epoch))


def test_the_segments_of_a_video_are_spread(an_epoch):
    order = list(chain(*an_epoch))
    video_of = {video.frames[start : start + 5].tobytes(): video.video_id for video in VIDEOS for start in (0, 5, 10)}
    videos = [video_of[segment] for segment in order]
    neighbours = sum(one == other for one, other in zip(videos, videos[1:]))
    assert neighbours < (NUM_SEGMENTS - len(set(videos))) / 2


@pytest.mark.parametrize("skip_batches", [3, 1000])
def test_a_run_that_resumes_goes_on_where_it_stopped(files, an_epoch, skip_batches):
    assert training(files, seed=1, epoch=2, skip_batches=skip_batches) == an_epoch[skip_batches:]


@pytest.mark.parametrize("num_workers, num_files", [(3, 5), (2, 1)])
def test_workers_share_the_segments(files, num_workers, num_files, tmp_path):
    files = files if num_files == 5 else write_segments(tmp_path, VIDEOS, RATINGS, SCHEMA)
    parts = [training(files, num_workers=num_workers, worker_index=worker) for worker in range(num_workers)]
    assert sorted(segment for part in parts for batch in part for segment in batch) == sorted(EXPECTED)
    if num_files == 1:  # one that resumes, too
        assert training(files, num_workers=num_workers, worker_index=1, skip_batches=2) == parts[1][2:]


@pytest.mark.parametrize("batch_size, records_at_once", [(1, 64), (7, 2), (1000, 64)])
def test_evaluation_reads_every_segment_once_in_order(files, batch_size, records_at_once, monkeypatch):
    monkeypatch.setattr(pipeline, "_RECORDS_PARSED_AT_ONCE", records_at_once)
    batches = list(evaluation_dataset(files[::-1], SCHEMA, batch_size, segments=True).as_numpy_iterator())
    check_examples([[batch[n] for n in ("frames", "num_frames", "labels", "label_weights")] for batch in batches])
    assert {len(batch["labels"]) for batch in batches[:-1]} <= {batch_size}
    found = [row for batch in batches for row in zip(batch["video_ids"], batch["start_times"])]
    expected = []
    for video, ratings in zip(VIDEOS, RATINGS):
        expected += dict.fromkeys((video.video_id.encode(), start) for _, start, _ in ratings)
    assert found == expected


def test_records_without_segments_are_no_examples(tmp_path):
    files = write_videos(tmp_path, VIDEOS, SCHEMA)
    assert training(files) == []
    assert list(evaluation_dataset(files, SCHEMA, 4, segments=True)) == []


def test_a_bad_segment_is_named(files, tmp_path):
    bad = with_segments(record_of(VIDEOS[0], SCHEMA, video_id="bad"), [1, 2], [0], [1.0])
    given = [*files, write_records(tmp_path / "bad", [record_of(VIDEOS[1], SCHEMA), bad])]
    problem = f"video 'bad' in {given[-1]} record 1: segment_labels and segment_start_times have different lengths"
    for dataset in (
        training_dataset(given, SCHEMA, 4, segments=True),
        evaluation_dataset(given, SCHEMA, 4, segments=True),
        pipeline.segment_ratings_dataset(given),
    ):
        with pytest.raises(DataError) as error, readable_errors(given, SCHEMA):
            list(dataset)
        assert str(error.value) == problem


def test_a_feature_of_another_type_is_named(tmp_path):
    example = tf.train.SequenceExample.FromString(record_of(VIDEOS[0], SCHEMA))
    example.context.feature["segment_labels"].float_list.value.append(1.0)
    path = write_records(tmp_path / "bad", [record_of(VIDEOS[1], SCHEMA), example.SerializeToString()])
    for dataset in (evaluation_dataset([path], SCHEMA, 4, segments=True), pipeline.segment_ratings_dataset([path])):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"in {path} record 1.*segment_labels.*type: int64"):
            list(dataset)


def test_damage_is_located_without_a_schema(tmp_path):
    path = write_records(tmp_path / "bad", [frame_record({"anything": [b"xyz"]}), b"\xff garbage"])
    with pytest.raises(DataError, match=r"bad record 1: is neither a tf\.train\.Example nor"), readable_errors([path]):
        list(pipeline.segment_ratings_dataset([path]))


@pytest.mark.parametrize("make_dataset", [training_dataset, evaluation_dataset])
def test_video_level_records_have_no_segments(make_dataset):
    with pytest.raises(ValueError, match="Segments are parts of frame-level records"):
        make_dataset(["unread"], RecordSchema(("mean_rgb",), (4,)), 8, segments=True)


def test_ratings_of_files(files):
    pairs = [
        (video_id.decode(), start, rated, score)
        for batch in pipeline.segment_ratings_dataset(files).as_numpy_iterator()
        for video_id, start, rated, score in zip(*(batch[n] for n in ("video_ids", "start_times", "classes", "scores")))
    ]
    expected = []
    for video, ratings in zip(VIDEOS, RATINGS):
        expected += [(video.video_id, start, rated, score) for rated, start, score in ratings]
    assert pairs == expected and np.isin([score for *_, score in pairs], (0, 1)).all()
