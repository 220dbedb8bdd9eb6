from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.records import frame_record, make_videos, real_files, video_record, write_records, write_videos
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.pipeline import evaluation_dataset, readable_errors, training_dataset
from yt8m_distill.data.schema import RecordSchema

FRAME_SCHEMA = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
VIDEO_SCHEMA = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
RANDOM = FrameSampler("random", 4, max_frames=20)
VIDEOS = make_videos(FRAME_SCHEMA, 26)
IDS = [video.video_id for video in VIDEOS]
ID_OF_MEANS = {video.means.tobytes(): video.video_id for video in VIDEOS}


@pytest.fixture(scope="module")
def video_files(tmp_path_factory):
    """Four video-level shards of 7 + 7 + 6 + 6 videos."""
    return write_videos(tmp_path_factory.mktemp("video"), VIDEOS, VIDEO_SCHEMA, num_shards=4)


@pytest.fixture(scope="module")
def frame_files(tmp_path_factory):
    """The same videos as frame-level shards, and an empty one."""
    folder = tmp_path_factory.mktemp("frame")
    return [*write_videos(folder, VIDEOS, FRAME_SCHEMA, num_shards=4), write_records(folder / "z", [])]


def training_ids(files, batch_size=4, **options):
    """Ids in the order of one epoch of video-level training."""
    dataset = training_dataset(files, VIDEO_SCHEMA, batch_size, **options)
    return [ID_OF_MEANS[row.tobytes()] for inputs, _ in dataset for row in inputs["features"].numpy()]


def evaluation_ids(dataset):
    return [video_id.decode() for batch in dataset for video_id in batch["video_ids"].numpy()]


# Evaluation.


@pytest.mark.parametrize("batch_size, sizes", [(1, [1] * 26), (7, [7, 7, 7, 5]), (13, [13, 13]), (99, [26])])
def test_evaluation_reads_every_record_once_in_order(video_files, batch_size, sizes):
    dataset = evaluation_dataset(video_files[::-1], VIDEO_SCHEMA, batch_size)
    batches = list(dataset.as_numpy_iterator())
    assert [len(batch["video_ids"]) for batch in batches] == sizes
    assert [video_id.decode() for batch in batches for video_id in batch["video_ids"]] == IDS
    features = np.concatenate([batch["features"] for batch in batches])
    np.testing.assert_array_equal(features, [video.means for video in VIDEOS])
    labels = np.concatenate([batch["labels"] for batch in batches])
    assert [tuple(np.flatnonzero(row).tolist()) for row in labels] == [video.labels for video in VIDEOS]


def test_evaluation_with_several_readers_takes_the_files_in_turn(video_files):
    dataset = evaluation_dataset(video_files, VIDEO_SCHEMA, batch_size=4, num_readers=2)
    ids = evaluation_ids(dataset)
    assert sorted(ids) == IDS
    assert ids[:4] == [IDS[0], IDS[7], IDS[1], IDS[8]]
    assert evaluation_ids(dataset) == ids


def test_evaluation_of_frame_level_records(frame_files):
    dataset = evaluation_dataset(frame_files, FRAME_SCHEMA, batch_size=5)
    assert dataset.element_spec["frames"] == tf.TensorSpec([None, 20, 12], tf.uint8)
    rows = [row for batch in dataset.as_numpy_iterator() for row in zip(*batch.values())]
    assert len(rows) == 26
    for video, row in zip(VIDEOS, rows):
        video_id, frames, num_frames, _ = row
        assert video_id.decode() == video.video_id
        assert num_frames == len(video.frames)
        np.testing.assert_array_equal(frames[:num_frames], video.frames)
        assert not frames[num_frames:].any()


def test_evaluation_draws_the_same_frames_whatever_the_batch(frame_files):
    def drawn_frames(batch_size, num_readers):
        dataset = evaluation_dataset(frame_files, FRAME_SCHEMA, batch_size, RANDOM, num_readers=num_readers)
        rows = [row for batch in dataset.as_numpy_iterator() for row in zip(*batch.values())]
        return {video_id: (frames.tobytes(), num_frames) for video_id, frames, num_frames, _ in rows}

    assert drawn_frames(3, 1) == drawn_frames(26, 4)


# Training.


def test_training_batches_of_video_level_records(video_files):
    dataset = training_dataset(video_files, VIDEO_SCHEMA, batch_size=8)
    assert dataset.element_spec == (
        {"features": tf.TensorSpec([None, 12], tf.float32)},
        tf.TensorSpec([None, 10], tf.bool),
    )
    batches = list(dataset.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [8, 8, 8, 2]
    labels_of = {video.means.tobytes(): video.labels for video in VIDEOS}
    for inputs, labels in batches:
        for means, row in zip(inputs["features"], labels):
            assert tuple(np.flatnonzero(row).tolist()) == labels_of.pop(means.tobytes())
    assert not labels_of


def test_training_batches_of_frame_level_records(frame_files):
    dataset = training_dataset(frame_files, FRAME_SCHEMA, batch_size=8)
    assert dataset.element_spec == (
        {
            "frames": tf.TensorSpec([None, 20, 12], tf.uint8),
            "num_frames": tf.TensorSpec([None], tf.int32),
        },
        tf.TensorSpec([None, 10], tf.bool),
    )
    labels_of = {video.frames.tobytes(): video.labels for video in VIDEOS}
    for inputs, labels in dataset.as_numpy_iterator():
        for frames, num_frames, row in zip(inputs["frames"], inputs["num_frames"], labels):
            assert tuple(np.flatnonzero(row).tolist()) == labels_of.pop(frames[:num_frames].tobytes())
    assert not labels_of


@pytest.mark.parametrize("batch_size, num_readers", [(1, 1), (4, 2), (7, 8), (99, 3)])
def test_training_reads_every_record_once(video_files, batch_size, num_readers):
    ids = training_ids(video_files, batch_size, num_readers=num_readers)
    assert sorted(ids) == IDS
    assert ids != IDS


@pytest.mark.parametrize("num_workers, num_files", [(2, 4), (3, 4), (4, 4), (2, 1), (4, 1)])
def test_workers_share_the_records(video_files, tmp_path, num_workers, num_files):
    files = video_files if num_files == 4 else write_videos(tmp_path, VIDEOS, VIDEO_SCHEMA)
    parts = []
    for worker in range(num_workers):
        tf.random.set_seed(worker)  # that workers differ in the global seed must not matter
        parts.append(training_ids(files, epoch=2, num_readers=3, num_workers=num_workers, worker_index=worker))
    tf.random.set_seed(None)
    assert sorted(video_id for part in parts for video_id in part) == IDS
    if num_files == 4:  # whole files
        by_file = [set(part) for part in np.array_split(IDS, 4)]
        assert all(part <= set(own) or part.isdisjoint(own) for own in parts for part in by_file)
    else:
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_workers_share_other_files_in_another_epoch(video_files):
    epochs = [frozenset(training_ids(video_files, epoch=epoch, num_workers=2, worker_index=0)) for epoch in range(3)]
    assert len(set(epochs)) > 1


def test_seed_and_epoch_fix_the_order(video_files):
    first = training_ids(video_files, seed=5, epoch=1)
    assert training_ids(video_files, seed=5, epoch=1) == first
    tf.random.set_seed(9)  # of TensorFlow as a whole: has no part in it
    assert training_ids(video_files[::-1], seed=5, epoch=1) == first
    tf.random.set_seed(None)
    others = [training_ids(video_files, seed=5, epoch=0), training_ids(video_files, seed=6, epoch=1)]
    assert first not in others
    assert others[0] != others[1]


def test_the_order_mixes_files(video_files):
    file_of = {video_id: file for file, ids in enumerate(np.array_split(IDS, 4)) for video_id in ids.tolist()}
    order = [file_of[video_id] for video_id in training_ids(video_files)]
    changes = sum(one != other for one, other in zip(order[:-1], order[1:]))
    assert changes > 10  # file after file has 3; shuffled, 25 * 3/4 = 19 are expected


def test_skipped_batches_are_the_first_ones(video_files):
    whole = training_ids(video_files, seed=3)
    assert training_ids(video_files, seed=3, skip_batches=5) == whole[5 * 4 :]
    assert training_ids(video_files, seed=3, skip_batches=7) == []


def test_training_draws_other_frames_in_another_epoch(tmp_path):
    videos = make_videos(FRAME_SCHEMA, 12, num_frames=20)
    files = write_videos(tmp_path, videos, FRAME_SCHEMA, num_shards=2)
    row_of = {frame.tobytes(): (video.video_id, index) for video in videos for index, frame in enumerate(video.frames)}

    def draws(epoch):
        dataset = training_dataset(files, FRAME_SCHEMA, 5, RANDOM, epoch=epoch)
        rows = [
            [row_of[frame.tobytes()] for frame in frames]
            for inputs, _ in dataset.as_numpy_iterator()
            for frames in inputs["sampled_frames"]
        ]
        # Frames of one video each, distinct and in order.
        assert all(len({video_id for video_id, _ in row}) == 1 and row == sorted(set(row)) for row in rows)
        return {row[0][0]: [index for _, index in row] for row in rows}

    first, second = draws(0), draws(1)
    assert set(first) == set(second) == {video.video_id for video in videos}
    assert all(first[video_id] != second[video_id] for video_id in first)  # equal once in 4845 times
    assert draws(0) == first


# Errors.

MEANS = {"mean_rgb": np.zeros(8), "mean_audio": np.zeros(4)}


def failure_of(files):
    with pytest.raises(DataError) as error, readable_errors(files, VIDEO_SCHEMA):
        for _ in evaluation_dataset(files, VIDEO_SCHEMA, batch_size=4):
            pass
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def shards(tmp_path):
    """Two shards of five videos."""
    return write_videos(tmp_path, VIDEOS[:10], VIDEO_SCHEMA, num_shards=2)


@pytest.mark.parametrize(
    "bad, message",
    [
        (
            video_record(MEANS, "Xy_-", labels=(10,)),
            "video 'Xy_-' in {} record 2: a label is outside [0, num_classes=10)",
        ),
        (
            video_record({**MEANS, "mean_rgb": []}),
            "{} record 2: has no feature 'mean_rgb'. "
            "The record would fit --feature_names=mean_audio --feature_sizes=4.",
        ),
        (b"\xff garbage", "{} record 2: is neither a tf.train.Example nor a tf.train.SequenceExample."),
    ],
    ids=["label", "missing feature", "garbage"],
)
def test_a_bad_record_is_named(tmp_path, bad, message):
    good = video_record(MEANS, "good")
    files = [write_records(tmp_path / "a", [good] * 3), write_records(tmp_path / "b", [good, good, bad])]
    assert failure_of(files) == message.format(files[1])


def test_a_bad_record_met_in_a_graph_is_named(tmp_path, frame_files):
    uneven = {"rgb": np.ones((3, 8), np.uint8), "audio": np.ones((2, 4), np.uint8)}
    files = [*frame_files, write_records(tmp_path / "uneven", [frame_record(uneven, "bad")])]
    dataset = training_dataset(files, FRAME_SCHEMA, batch_size=4)

    @tf.function
    def count_videos():
        num_videos = 0
        for _, labels in dataset:
            num_videos += tf.shape(labels)[0]
        return num_videos

    with pytest.raises(DataError) as error, readable_errors(files, FRAME_SCHEMA):
        count_videos()
    problem = "features 'rgb' and 'audio' have different numbers of frames"
    assert str(error.value) == f"video 'bad' in {files[-1]} record 0: {problem}"


def test_a_truncated_shard_is_named(shards):
    path = pathlib.Path(shards[1])
    path.write_bytes(path.read_bytes()[:-30])
    assert failure_of(shards).startswith(f"{path}: truncated in record 4, of which 30 bytes")


def test_a_flipped_bit_is_found(shards):
    path = pathlib.Path(shards[1])
    content = bytearray(path.read_bytes())
    content[-40] ^= 4
    path.write_bytes(content)
    assert failure_of(shards) == f"{path}: record 4 fails its checksum. Download it again or remove it."


def test_a_missing_file_is_named(shards):
    pathlib.Path(shards[1]).unlink()
    assert failure_of(shards).startswith(f"{shards[1]}: cannot be read: ")


def test_errors_that_have_another_cause_stay_as_they_are(shards):
    with pytest.raises(tf.errors.InvalidArgumentError), readable_errors(shards, VIDEO_SCHEMA):
        tf.reshape(tf.range(3), [2, 2])
    with pytest.raises(KeyError), readable_errors(shards, VIDEO_SCHEMA):
        {}["a"]
    with readable_errors(shards, VIDEO_SCHEMA):
        pass


# Real records.


def test_all_real_audioset_clips_are_read():
    files = real_files("audioset/train*.tfrecord")
    schema = RecordSchema(("audio_embedding",), (128,), frame_features=True, num_classes=527, max_frames=10)
    ids, num_frames, num_labels = set(), [], 0
    for batch in evaluation_dataset(files, schema, 2048).as_numpy_iterator():
        ids.update(batch["video_ids"])
        num_frames.extend(batch["num_frames"])
        num_labels += batch["labels"].sum()
    assert len(ids) == len(num_frames) == 16_619
    assert min(num_frames) >= 1
    assert 0.975 < np.mean(np.equal(num_frames, 10)) < 0.985
    assert 2.35 < num_labels / 16_619 < 2.45


@pytest.mark.parametrize("shard, num_videos", [("validatea0", 368), ("testa0", 163)])
def test_real_2017_videos_are_read_by_their_video_id(shard, num_videos):
    schema = RecordSchema(("mean_rgb", "mean_audio"), (1024, 128), num_classes=4716)
    (batch,) = evaluation_dataset(real_files(f"yt8m_2017_video/{shard}.tfrecord"), schema, 1000)
    assert len(set(batch["video_ids"].numpy())) == num_videos
    labelled = tf.reduce_any(batch["labels"], axis=1).numpy()
    assert labelled.all() if shard == "validatea0" else not labelled.any()
    assert np.isfinite(batch["features"]).all()


def test_only_training_jitters_and_each_epoch_anew(frame_files):
    """Each of two frames comes from its half of the video; evaluation reads the first of each half."""
    sampler = FrameSampler("uniform", 2, max_frames=20, jitter=True)
    middles = [len(video.frames) // 2 or 1 for video in VIDEOS]  # a single frame is the first half
    firsts = {row.tobytes() for video, middle in zip(VIDEOS, middles) for row in video.frames[:middle]}
    seconds = {row.tobytes() for video, middle in zip(VIDEOS, middles) for row in video.frames[middle:]}

    def training_frames(epoch):
        dataset = training_dataset(frame_files, FRAME_SCHEMA, 26, sampler, epoch=epoch)
        return [row for inputs, _ in dataset for row in inputs["sampled_frames"].numpy()]

    for first, second in training_frames(0):
        assert first.tobytes() in firsts and (second.tobytes() in seconds or not second.any())
    drawn = [{row.tobytes() for row in training_frames(epoch)} for epoch in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    (batch,) = evaluation_dataset(frame_files, FRAME_SCHEMA, 26, sampler)
    for video, (first, second) in zip(VIDEOS, batch["sampled_frames"].numpy()):
        np.testing.assert_array_equal(first, video.frames[0])
        if len(video.frames) > 1:
            np.testing.assert_array_equal(second, video.frames[len(video.frames) // 2])
