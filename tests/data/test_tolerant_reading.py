"""`--bad_records=skip`: pipelines that leave out what cannot be read, and say so."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.records import (
    flip_bit,
    frame_record,
    make_ratings,
    make_videos,
    record_of,
    video_record,
    with_segments,
    write_records,
    write_segments,
    write_videos,
)
from yt8m_distill.data import SkippedRecords, check_first_record, estimate_num_records
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.pipeline import evaluation_dataset, training_dataset, window_dataset
from yt8m_distill.data.schema import RecordSchema

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=10, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=10)
RANDOM = FrameSampler("random", 4, max_frames=20)
VIDEOS = make_videos(FRAMES, 24)


def rows_of(dataset):
    """All examples, each a list of arrays; batches do not matter."""
    return [row for batch in dataset.as_numpy_iterator() for row in zip(*tf.nest.flatten(batch))]


def assert_same(rows, expected):
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected):
        tf.nest.map_structure(np.testing.assert_array_equal, row, wanted)


def ids_of(dataset):
    return [video_id.decode() for batch in dataset.as_numpy_iterator() for video_id in batch["video_ids"]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four frame-level shards of six videos each."""
    return write_videos(tmp_path_factory.mktemp("whole"), VIDEOS, FRAMES, num_shards=4)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """The same with a wrong checksum (v002), records that do not fit (v006, v009, v010), a cut tail (v016 and
    v017), and files that are none."""
    folder = tmp_path_factory.mktemp("damaged")
    records = [record_of(video, FRAMES) for video in VIDEOS]
    frames = {"rgb": np.zeros((3, 8), np.uint8), "audio": np.zeros((3, 4), np.uint8)}
    records[6] = b"\xff garbage"
    records[9] = frame_record({**frames, "rgb": np.zeros((3, 7), np.uint8)}, "narrow")
    records[10] = frame_record(frames, "far", labels=[3, 10])
    files = [pathlib.Path(write_records(folder / f"{n}.tfrecord", records[6 * n : 6 * n + 6])) for n in range(4)]
    flip_bit(files[0], 2 * 16 + len(records[0]) + len(records[1]) + 40)
    files[2].write_bytes(files[2].read_bytes()[: -len(records[17]) - 30])
    (folder / "4.tfrecord").write_text("<html>404 Not Found</html>")
    (folder / "5.tfrecord").touch()
    return [*map(str, files), str(folder / "4.tfrecord"), str(folder / "5.tfrecord"), str(folder / "6.tfrecord")]


LEFT_OUT = {2, 6, 9, 10, 16, 17}
GOOD = [video.video_id for number, video in enumerate(VIDEOS) if number not in LEFT_OUT]


@pytest.mark.parametrize("sampler", [None, RANDOM])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_whole_files_are_read_as_ever(shards, sampler, batch_size):
    skipped = SkippedRecords()
    tolerant = evaluation_dataset(shards, FRAMES, batch_size, sampler, skipped=skipped)
    strict = evaluation_dataset(shards, FRAMES, batch_size, sampler)
    assert tolerant.element_spec == strict.element_spec
    assert_same(rows_of(tolerant), rows_of(strict))
    assert len(skipped) == 0


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_bad_records_are_left_out_and_named(damaged, batch_size):
    skipped = SkippedRecords()
    dataset = evaluation_dataset(damaged, FRAMES, batch_size, skipped=skipped)
    assert ids_of(dataset) == GOOD
    assert ids_of(dataset) == GOOD  # a second pass meets the same records, and notes them once
    folder = pathlib.Path(damaged[0]).parent
    wanted = [
        f"{folder}/0.tfrecord: record 2 fails its checksum.",
        f"{folder}/1.tfrecord record 0: is neither a tf.train.Example nor",
        f"video 'narrow' in {folder}/1.tfrecord record 3: an entry of feature 'rgb' is not a whole number of frames",
        f"video 'far' in {folder}/1.tfrecord record 4: a label is outside [0, num_classes=10)",
        f"{folder}/2.tfrecord: truncated in record 4, of which",
        f"{folder}/4.tfrecord: is not a TFRecord file.",
        f"{folder}/6.tfrecord: cannot be read: ",
    ]
    problems = skipped.problems()
    assert len(problems) == len(wanted)
    for problem, start in zip(problems, wanted):
        assert problem.startswith(start)
    assert problems[4].endswith("Nothing behind it can be read.")


def test_training_sees_each_good_record_once_and_again_in_the_same_order(damaged):
    def labels_of(**options):
        dataset = training_dataset(damaged, FRAMES, 4, seed=3, skipped=SkippedRecords(), **options)
        return [row[-1].tolist() for row in rows_of(dataset)]

    labels = labels_of()
    expected = [[number in video.labels for number in range(10)] for video in VIDEOS if video.video_id in GOOD]
    assert sorted(labels) == sorted(expected)
    assert labels_of() == labels
    # What one worker reads, or all of several.
    shares = [labels_of(num_workers=2, worker_index=index) for index in range(2)]
    assert sorted(shares[0] + shares[1]) == sorted(expected)


@pytest.mark.parametrize("batch_size, done", [(4, 2), (1, 3), (1, 9)])  # of batches of one, some are bad records alone
def test_a_run_that_resumes_goes_on_where_it_was(batch_size, done, damaged):
    def batches(**options):
        dataset = training_dataset(damaged, FRAMES, batch_size, seed=3, skipped=SkippedRecords(), **options)
        return [batch[1].tolist() for batch in dataset.as_numpy_iterator()]

    assert batches(skip_batches=done) == batches()[done:]


def test_unlabelled_records_keep_their_weight(damaged, tmp_path):
    labelled = write_videos(tmp_path, VIDEOS[:6], FRAMES)
    dataset = training_dataset(
        labelled, FRAMES, 5, unlabelled_files=damaged, skipped=(skipped := SkippedRecords()), seed=1
    )
    weights = [row[-1].item() for row in rows_of(dataset)]
    # The label of an unlabelled record is not read, be it out of range.
    assert (weights.count(1.0), weights.count(0.0)) == (6, len(GOOD) + 1)
    assert not any("a label is outside" in problem for problem in skipped.problems())
    for *_, labels, weight in rows_of(dataset):
        assert labels.any() == bool(weight)


def test_video_level_records(tmp_path):
    records = [record_of(video, MEANS) for video in VIDEOS[:5]]
    records[1] = video_record({"mean_rgb": [0.0] * 8, "mean_audio": [0.0] * 3}, "narrow")
    records[3] = video_record({"mean_rgb": [0.0] * 8}, None)
    files = [write_records(tmp_path / "a", records)]
    skipped = SkippedRecords()
    assert ids_of(evaluation_dataset(files, MEANS, 5, skipped=skipped)) == ["v000", "v002", "v004"]
    first, second = skipped.problems()
    assert f"{files[0]} record 1: feature 'mean_audio' has 3 values, but feature_sizes says 4" in first
    assert f"{files[0]} record 3" in second


def test_segments_and_windows(tmp_path):
    ratings = make_ratings(VIDEOS[:6], FRAMES)
    files = write_segments(tmp_path, VIDEOS[:6], ratings, FRAMES)
    bad = with_segments(record_of(VIDEOS[6], FRAMES), [1, 2], [0], [1.0])  # parallel lists of different lengths
    more = write_records(tmp_path / "z", [bad, b"\xff"])
    skipped = SkippedRecords()
    segments = evaluation_dataset([*files, more], FRAMES, 4, segments=True, skipped=skipped)
    assert_same(rows_of(segments), rows_of(evaluation_dataset(files, FRAMES, 4, segments=True)))
    assert len(skipped) == 2
    skipped = SkippedRecords()
    windows = window_dataset([*files, write_records(tmp_path / "y", [b"\xff"])], FRAMES, 8, skipped=skipped)
    assert_same(rows_of(windows), rows_of(window_dataset(files, FRAMES, 8)))
    assert len(skipped) == 1


def test_a_cache_of_whole_files_goes_with_no_skipping(shards):
    with pytest.raises(ValueError, match="none of whose records is skipped"):
        training_dataset(shards, FRAMES, 4, teacher_cache=object(), skipped=SkippedRecords())


# What is looked at before a pipeline is made.


def test_the_first_good_record_is_enough(damaged, tmp_path):
    check_first_record(damaged[1:], FRAMES, skip_bad=True)
    with pytest.raises(DataError, match=r"1.tfrecord: is neither a tf.train.Example"):
        check_first_record(damaged[1:], FRAMES)
    with pytest.raises(DataError, match="hold no record that can be read"):
        check_first_record(damaged[4:], FRAMES, skip_bad=True)
    # Wrong flags are not data that is all bad.
    with pytest.raises(DataError, match=r"0.tfrecord: has no feature 'mean_rgb'. The record is frame-level"):
        check_first_record(damaged, MEANS, skip_bad=True)


def test_the_number_of_records_is_estimated_from_good_ones(damaged):
    with pytest.raises(DataError, match="fails its checksum"):
        estimate_num_records(damaged[:1])
    assert 4 <= estimate_num_records(damaged[:1], skip_bad=True) <= 7


# What is said.


def test_each_record_is_noted_once_and_the_first_ones_at_once(caplog):
    skipped = SkippedRecords()
    for _ in range(2):
        for number in range(25):
            skipped.add("b", number, f"b record {number} is bad.")
    skipped.add("a", -1, "a cannot be read.")
    assert len(skipped) == 26
    assert skipped.problems()[:2] == ["a cannot be read.", "b record 0 is bad."]
    lines = [record.message for record in caplog.records]
    assert lines[0] == "Skipped: b record 0 is bad." and len(lines) == 20
    assert lines[-1] == "Skipped: b record 19 is bad. Further ones are listed at the end."
    caplog.clear()
    skipped.report()
    assert caplog.records[0].message == "Skipped 26 bad records:" and len(caplog.records) == 27


def test_nothing_is_said_of_nothing(caplog):
    SkippedRecords().report()
    assert not caplog.records
