from __future__ import annotations

import numpy as np
import pytest

from yt8m_distill.data.frame_statistics import read_frames
from yt8m_distill.data.synthetic import SyntheticVideos, quantize, write_synthetic_shards


def test_records_are_in_the_official_format(tmp_path):
    paths = write_synthetic_shards(str(tmp_path), "train", SyntheticVideos(num_classes=9), 5, 3, num_shards=2)
    videos = [video for path in paths for video in read_frames(path)]
    assert [video_id for video_id, _, _ in videos] == ["1005", "1006", "1007"]
    for _, labels, frames in videos:
        assert labels == sorted(set(labels)) and set(labels) <= set(range(9))
        assert {name: values.shape[1] for name, values in frames.items()} == {"rgb": 1024, "audio": 128}
        assert len(frames["rgb"]) == len(frames["audio"]) <= 300


def test_a_video_depends_on_seed_and_number_alone():
    videos = SyntheticVideos(num_classes=9)
    assert videos.record(3) == SyntheticVideos(num_classes=9).record(3)
    assert videos.record(3) != videos.record(4)
    assert videos.record(3) != SyntheticVideos(num_classes=9, seed=1).record(3)


@pytest.mark.parametrize(("feature", "byte"), [(-3, 0), (-2, 0), (0, 128), (1, 191), (2, 255), (9, 255)])
def test_bytes_are_those_of_the_original_extractor(feature, byte):
    assert quantize(np.float32(feature)) == byte  # round((x + 2) 255/4), ties to even
