import numpy as np
import pytest
import tensorflow as tf

from tests.records import make_videos, write_videos
from yt8m_distill.data.pipeline import window_dataset
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.segment_windows import cut_into_windows


def test_two_videos_by_hand():
    frames = np.zeros([2, 12, 1], np.uint8)
    frames[0, :7, 0] = np.arange(1, 8)
    frames[1, :, 0] = np.arange(21, 33)
    videos = {"video_ids": tf.constant([b"a", b"b"]), "frames": tf.constant(frames), "num_frames": tf.constant([7, 12])}
    windows = {name: value.numpy() for name, value in cut_into_windows(videos).items()}
    assert windows["video_ids"].tolist() == [b"a", b"a", b"b", b"b", b"b"]
    assert windows["start_times"].tolist() == [0, 5, 0, 5, 10]
    assert windows["num_frames"].tolist() == [5, 2, 5, 5, 2]
    assert windows["frames"][..., 0].tolist() == [
        [1, 2, 3, 4, 5],
        [6, 7, 0, 0, 0],
        [21, 22, 23, 24, 25],
        [26, 27, 28, 29, 30],
        [31, 32, 0, 0, 0],
    ]
    assert windows["num_frames"].dtype == np.int32 and windows["frames"].dtype == np.uint8


@pytest.mark.parametrize("batch_size, num_readers", [(1, 1), (7, 1), (7, 2), (1000, 1)])
def test_the_windows_of_files(batch_size, num_readers, tmp_path):
    schema = RecordSchema(("rgb", "audio"), (3, 2), frame_features=True, num_classes=4, max_frames=13)
    videos = make_videos(schema, 6, num_frames=[13, 0, 5, 1, 12, 6])
    files = write_videos(tmp_path, videos, schema, num_shards=2)
    expected = {}
    for video in videos:
        for start in range(0, len(video.frames), 5):
            expected[video.video_id, start] = video.frames[start : start + 5]
    batches = list(window_dataset(files, schema, batch_size, num_readers=num_readers).as_numpy_iterator())
    assert [len(batch["num_frames"]) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert sum(len(batch["num_frames"]) for batch in batches) == len(expected) == 10
    rows = [row for batch in batches for row in zip(*(batch[n] for n in ("video_ids", "start_times")))]
    if num_readers == 1:
        assert [(video_id.decode(), start) for video_id, start in rows] == list(expected)
    for batch in batches:
        for video_id, start, frames, num_frames in zip(*batch.values()):
            own = expected.pop((video_id.decode(), start))
            assert num_frames == len(own)
            np.testing.assert_array_equal(frames[:num_frames], own)
            assert not frames[num_frames:].any()
    assert not expected


def test_video_level_records_have_no_windows():
    with pytest.raises(ValueError, match="Segments are parts of frame-level records"):
        window_dataset(["unread"], RecordSchema(("mean_rgb",), (4,)), 8)
