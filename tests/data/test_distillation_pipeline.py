"""What the training pipeline adds for a student: unlabelled videos, and what a teacher said of each video."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, record_of, write_records, write_videos
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.pipeline import readable_errors, training_dataset, unlabelled_dataset
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.teacher_cache import TeacherCache
from yt8m_distill.data.teacher_records import TeacherRecords, fingerprints

MEANS = RecordSchema(("mean_rgb",), (4,), num_classes=5)
FRAMES = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=5, max_frames=8)
VIDEOS = make_videos(FRAMES, 20)
ID_OF_MEANS = {video.means.tobytes(): video.video_id for video in VIDEOS}
LABELS = {video.video_id: video.labels for video in VIDEOS}
RECORDS = TeacherRecords(5, 5, 2)


def said_of(video_id):
    """Predictions and encoding of a made-up teacher, another one for each video."""
    number = int(video_id[1:])
    return np.linspace(0.1, 0.9, 5) * (number + 1) / 21, [number, -number]


def write_cache(folder, files, ids_of_files):
    """A cache of videos as they are in files, or of others in their places."""
    cache = TeacherCache(str(folder), [{"weights": "a"}], RECORDS)
    for file, ids in zip(files, ids_of_files):
        predictions, encodings = zip(*map(said_of, ids))
        tf.io.gfile.makedirs(cache.path_of(file).rpartition("/")[0])
        videos = list(tf.data.TFRecordDataset(file).as_numpy_iterator())
        video_ids = [video_id.encode() for video_id in ids]
        records = RECORDS.serialize(video_ids, fingerprints(videos).numpy(), predictions, encodings)
        write_records(cache.path_of(file), records)
        cache.add(file, len(ids))
    return cache


def ids_of(videos):
    return [video.video_id for video in videos]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Twelve labelled videos in two shards, eight unlabelled ones in one, whose labels are out of range."""
    root = tmp_path_factory.mktemp("data")
    (root / "train").mkdir()
    (root / "test").mkdir()
    labelled = write_videos(root / "train", VIDEOS[:12], MEANS, num_shards=2)
    bad = [record_of(video, MEANS, labels=(99, -1)) for video in VIDEOS[12:]]
    unlabelled = [write_records(root / "test" / "shard00.tfrecord", bad)]
    ids = ids_of(VIDEOS[:6]), ids_of(VIDEOS[6:12]), ids_of(VIDEOS[12:])
    return root, labelled, unlabelled, write_cache(root / "cache", [*labelled, *unlabelled], ids)


def batch_ids(inputs):
    return [ID_OF_MEANS[row.tobytes()] for row in inputs["features"]]


def test_unlabelled_videos_are_shuffled_among_the_labelled(places):
    _, labelled, unlabelled, _ = places
    dataset = training_dataset(labelled, MEANS, batch_size=5, unlabelled_files=unlabelled)
    assert dataset.element_spec[2] == tf.TensorSpec([None, 1], tf.float32)
    batches = list(dataset.as_numpy_iterator())
    assert sorted(video_id for inputs, _, _ in batches for video_id in batch_ids(inputs)) == ids_of(VIDEOS)
    for inputs, labels, weights in batches:
        for video_id, row, weight in zip(batch_ids(inputs), labels, weights[:, 0]):
            assert weight == (int(video_id[1:]) < 12)
            assert tuple(np.flatnonzero(row).tolist()) == (LABELS[video_id] if weight else ())
    assert any(0 < weights.mean() < 1 for _, _, weights in batches)


def test_a_pass_resumes_among_unlabelled_videos(places):
    _, labelled, unlabelled, cache = places

    def ids(**options):
        settings = {"unlabelled_files": unlabelled, "teacher_cache": cache, "seed": 3, "epoch": 1, **options}
        batches = training_dataset(labelled, MEANS, 4, **settings).as_numpy_iterator()
        return [video_id for inputs, _, _ in batches for video_id in batch_ids(inputs)]

    whole = ids()
    assert ids(skip_batches=2) == whole[8:]
    assert ids() == whole
    parts = [ids(num_workers=2, worker_index=worker) for worker in range(2)]
    assert sorted(parts[0] + parts[1]) == ids_of(VIDEOS)


def test_a_labelled_video_with_a_bad_label_is_still_refused(places):
    _, labelled, unlabelled, _ = places
    refused = pytest.raises(DataError, match=r"video 'v0.*shard00.tfrecord record .: a label is outside")
    with refused, readable_errors(unlabelled):
        list(training_dataset(unlabelled, MEANS, 4, unlabelled_files=labelled))


def test_each_video_comes_with_what_the_teacher_said_of_it(places):
    _, labelled, unlabelled, cache = places
    dataset = training_dataset(labelled, MEANS, 6, unlabelled_files=unlabelled, teacher_cache=cache, num_readers=3)
    assert dataset.element_spec[0]["teacher_predictions"] == tf.TensorSpec([None, 5], tf.float32)
    assert dataset.element_spec[0]["teacher_encoding"] == tf.TensorSpec([None, 2], tf.float32)
    seen = 0
    for inputs, _, _ in dataset.as_numpy_iterator():
        for video_id, *said in zip(batch_ids(inputs), inputs["teacher_predictions"], inputs["teacher_encoding"]):
            predictions, encoding = said_of(video_id)
            np.testing.assert_allclose(said[0], predictions, rtol=5e-3)
            np.testing.assert_array_equal(said[1], encoding)
            seen += 1
    assert seen == 20


def test_only_the_students_frames_are_decoded_beside_a_cache(tmp_path):
    files = write_videos(tmp_path, VIDEOS[:6], FRAMES)
    cache = write_cache(tmp_path / "cache", files, [ids_of(VIDEOS[:6])])
    sampler = FrameSampler("uniform", 2, max_frames=8)
    inputs, labels = training_dataset(files, FRAMES, 6, sampler, teacher_cache=cache).element_spec
    assert sorted(inputs) == ["num_sampled_frames", "sampled_frames", "teacher_encoding", "teacher_predictions"]
    assert inputs["sampled_frames"].shape == [None, 2, 4] and labels.shape == [None, 5]


def test_videos_that_have_changed_places_are_refused(places, tmp_path):
    _, labelled, _, _ = places
    cache = write_cache(tmp_path, labelled, [ids_of(VIDEOS[:6]), ids_of(VIDEOS[6:12])[::-1]])
    refused = pytest.raises(DataError, match=r"shard01.tfrecord record \d: the teacher cache holds another video")
    with refused, readable_errors(labelled, MEANS):
        list(training_dataset(labelled, MEANS, 4, teacher_cache=cache))


def test_videos_whose_frames_have_changed_places_are_refused(tmp_path):
    files = write_videos(tmp_path, VIDEOS[:6], FRAMES)
    cache = write_cache(tmp_path / "cache", files, [ids_of(VIDEOS[:6])])
    backwards = [dataclasses.replace(video, frames=video.frames[::-1]) for video in VIDEOS[:6]]
    assert write_videos(tmp_path, backwards, FRAMES) == files
    cache.check_files(files)  # by name and size they are the same
    refused = pytest.raises(DataError, match=r"record \d: it is not as the teacher saw it; the records have changed")
    with refused, readable_errors(files, FRAMES):
        list(training_dataset(files, FRAMES, 6, teacher_cache=cache))


def test_a_damaged_cache_is_named(places, tmp_path):
    _, labelled, _, _ = places
    cache = write_cache(tmp_path, labelled, [ids_of(VIDEOS[:6]), ids_of(VIDEOS[6:12])])
    path = cache.path_of(labelled[0])
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"!!")
    refused = pytest.raises(DataError, match=f"{path}: record 0 fails its checksum")
    with refused, readable_errors([path]), readable_errors(labelled, MEANS):
        list(training_dataset(labelled, MEANS, 4, teacher_cache=cache))


def test_segments_have_neither(places):
    _, labelled, unlabelled, _ = places
    with pytest.raises(ValueError, match="neither unlabelled files nor a teacher cache"):
        training_dataset(labelled, FRAMES, 4, segments=True, unlabelled_files=unlabelled)


def test_all_videos_without_their_labels(places):
    _, labelled, unlabelled, _ = places
    batches = list(unlabelled_dataset([*unlabelled, *labelled], MEANS, 7).as_numpy_iterator())
    read = [(path.decode(), *ids) for batch in batches for path, *ids in zip(batch["paths"], batch["video_ids"])]
    in_order = ids_of(VIDEOS[12:]) + ids_of(VIDEOS[:12])  # test/ comes before train/
    paths = unlabelled * 8 + [labelled[0]] * 6 + [labelled[1]] * 6
    assert read == [(path, video_id.encode()) for path, video_id in zip(paths, in_order)]
    assert not any(batch["labels"].any() for batch in batches)
