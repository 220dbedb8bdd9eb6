from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.data.made_means import SIZES, made_means
from tests.records import real_files, video_record, write_records
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.frame_statistics import read_frames
from yt8m_distill.data.pipeline import evaluation_dataset
from yt8m_distill.data.reframed_shards import read_video_means, write_reframed_shards
from yt8m_distill.data.reframed_summary import summarize_reframed
from yt8m_distill.data.reframing import ReframedVideos
from yt8m_distill.data.schema import RecordSchema

VIDEOS = ReframedVideos(made_means(num_videos=7), max_frames=30)
VIDEO_SCHEMA = RecordSchema(("mean_rgb", "mean_audio"), (4, 2), num_classes=5)


def records_of(paths):
    return [record for path in paths for record in tf.data.TFRecordDataset(path).as_numpy_iterator()]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_pipeline_reads_what_is_written(tmp_path):
    paths = write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards=3)
    assert names_in(tmp_path) == ["train0000.tfrecord", "train0001.tfrecord", "train0002.tfrecord"]
    assert paths == [str(tmp_path / name) for name in names_in(tmp_path)]
    schema = RecordSchema(tuple(SIZES), tuple(SIZES.values()), frame_features=True, num_classes=6, max_frames=30)
    (batch,) = evaluation_dataset(paths, schema, 10)
    assert [video_id.decode() for video_id in batch["video_ids"].numpy()] == list(VIDEOS.videos.ids)
    for number in range(len(VIDEOS)):
        labels, frames = VIDEOS.video(number)
        assert np.flatnonzero(batch["labels"][number]).tolist() == labels
        expected = np.concatenate([frames["rgb"], frames["audio"]], axis=1)
        np.testing.assert_array_equal(batch["frames"][number][: batch["num_frames"][number]], expected)


def test_shards_and_workers_change_no_record(tmp_path):
    seen = []
    one = write_reframed_shards(VIDEOS, str(tmp_path / "one"), "train", num_shards=1)
    three = write_reframed_shards(
        VIDEOS,
        str(tmp_path / "three"),
        "train",
        num_shards=3,
        num_workers=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(three) == 3
    assert records_of(one) == records_of(three)
    assert seen == sorted(seen) and seen[-1] == (7, 7)


def test_num_videos_takes_the_first(tmp_path):
    seen = []
    paths = write_reframed_shards(
        VIDEOS, str(tmp_path), "a", 2, num_videos=3, progress=lambda done, total: seen.append((done, total))
    )
    assert [video_id for path in paths for video_id, _, _ in read_frames(path)] == ["v000", "v001", "v002"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("num_shards", "num_videos"), [(8, None), (3, 2), (0, None), (1, 8)])
def test_numbers_that_do_not_fit_are_refused(tmp_path, num_shards, num_videos):
    with pytest.raises(ValueError, match="Of 7 videos in the input"):
        write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards, num_videos)
    assert names_in(tmp_path) == []


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards=3, progress=interrupt)
    assert names_in(tmp_path) == []


def test_earlier_shards_are_kept_unless_told_otherwise(tmp_path):
    for name in ("train0000.tfrecord", "train0007.tfrecord", "train_b0000.tfrecord", "validate0000.tfrecord"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"train0000.tfrecord already \(2 such files\).*--overwrite"):
        write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards=2)
    assert (tmp_path / "train0000.tfrecord").read_bytes() == b"mine"
    paths = write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards=2, overwrite=True)
    assert len(records_of(paths)) == 7
    # The eighth shard of an earlier set would be read along with the new ones.
    expected = ["train0000.tfrecord", "train0001.tfrecord", "train_b0000.tfrecord", "validate0000.tfrecord"]
    assert names_in(tmp_path) == expected


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_video_level_records_are_read(tmp_path, id_key):
    records = [
        video_record({"mean_rgb": [0, 1, -1, 0.5], "mean_audio": [1, 0]}, "a", [4, 1], id_key=id_key),
        video_record({"mean_rgb": [0, 0, 0, 0], "mean_audio": [0, 2]}, "b", None, id_key=id_key),
    ]
    videos = read_video_means([write_records(tmp_path / "records", records)], VIDEO_SCHEMA)
    assert videos.ids == ["a", "b"]
    assert videos.labels == [[1, 4], []]
    np.testing.assert_array_equal(videos.means["rgb"], np.array([[0, 1, -1, 0.5], [0, 0, 0, 0]], np.float32))
    np.testing.assert_array_equal(videos.means["audio"], np.array([[1, 0], [0, 2]], np.float32))


def test_frame_level_input_is_refused(tmp_path):
    paths = write_reframed_shards(VIDEOS, str(tmp_path), "train", num_shards=1)
    with pytest.raises(DataError, match=r"train0000\.tfrecord.*'mean_rgb'"):
        read_video_means(paths, VIDEO_SCHEMA)


def test_the_summary_finds_what_was_asked_for(tmp_path):
    videos = ReframedVideos(made_means(num_videos=20), mixed_share=1, max_frames=60)
    paths = write_reframed_shards(videos, str(tmp_path), "train", num_shards=2)
    summary = summarize_reframed(paths, videos, num_sampled=10)
    assert summary.num_videos == len(summary.num_labels) == 10
    assert summary.num_frames == [sum(videos.scenes(number)[1]) for number in (0, 1, 2, 3, 4, 10, 11, 12, 13, 14)]
    assert summary.mixed_share == 1
    assert 0 < summary.mean_residual < 0.003
    assert summary.mean_spread == pytest.approx(0.5, abs=0.03)  # that of `made_means`
    assert summary.statistics["rgb"]["std"] == pytest.approx(0.97, abs=0.06)
    assert 1 < np.mean(summary.num_labels) < 6


def test_videos_of_few_frames_have_no_statistics(tmp_path):
    videos = ReframedVideos(made_means(num_videos=2), max_frames=5)
    summary = summarize_reframed(write_reframed_shards(videos, str(tmp_path), "a", 1), videos)
    assert summary.statistics == {}
    assert summary.num_frames == [5, 5]


@pytest.mark.parametrize("name", ["yt8m_2018_video/validate0059.tfrecord", "yt8m_2017_video/testa0.tfrecord"])
def test_real_records_are_reframed(name):
    schema = RecordSchema(("mean_rgb", "mean_audio"), (1024, 128), num_classes=4716)
    means = read_video_means(real_files(name), schema)
    videos = ReframedVideos(means)
    assert any(means.labels) == ("testa" not in name)
    labels, frames = videos.video(0)
    assert set(means.labels[0]) <= set(labels)
    assert frames["rgb"].shape[1] == 1024
