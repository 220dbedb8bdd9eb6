"""The original's way of reading gives the frames that the package's model makes of the package's reader."""

import numpy as np
import pytest

from benchmarks.original_reader import original_dataset
from tests.records import make_videos, write_videos
from yt8m_distill.data import RecordSchema
from yt8m_distill.models.frame_input import dequantize

SCHEMA = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=5, max_frames=20)


@pytest.fixture(scope="module")
def videos():
    return make_videos(SCHEMA, 5, num_frames=[20, 7, 1, 13, 25])


@pytest.fixture(scope="module")
def files(videos, tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("records"), videos, SCHEMA)


def test_all_frames_dequantised_and_padded_with_zeros(videos, files):
    ((ids, frames, labels, num_frames),) = original_dataset(files, SCHEMA, batch_size=8, num_readers=1)
    assert [name.decode() for name in ids.numpy()] == [video.video_id for video in videos]
    assert num_frames.numpy().tolist() == [20, 7, 1, 13, 20]
    assert frames.shape == (5, 20, 12)
    for row, video in enumerate(videos):
        kept = video.frames[:20]
        np.testing.assert_allclose(frames[row, : len(kept)], dequantize(kept), atol=1e-6)
        assert not np.any(frames[row, len(kept) :])
        assert tuple(np.flatnonzero(labels[row])) == video.labels


def test_few_frames_are_picked_from_the_padded_ones(files):
    ((_, frames, _, _),) = original_dataset(files, SCHEMA, batch_size=8, num_readers=1)
    ((_, picked, _, _),) = original_dataset(files, SCHEMA, batch_size=8, num_readers=1, num_sampled_frames=4)
    np.testing.assert_array_equal(picked, frames.numpy()[:, [0, 5, 10, 15]])
