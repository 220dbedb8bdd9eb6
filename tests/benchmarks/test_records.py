"""The benchmark's records: lengths as in YouTube-8M, every file alike, readable by the package."""

import numpy as np

from benchmarks.records import real_lengths, schema_of, write_records
from benchmarks.settings import Settings
from yt8m_distill.data import evaluation_dataset


def test_lengths_are_spread_as_in_youtube_8m():
    lengths = real_lengths(5978)
    assert lengths.min() >= 1
    assert lengths.max() == 300
    assert abs(np.median(lengths) - 232) < 5
    assert abs(lengths.mean() - 230) < 2
    assert abs(np.mean(lengths == 300) - 0.29) < 0.001
    assert set(real_lengths(50, max_frames=3)) == {1, 2, 3}


def test_every_file_holds_a_video_of_each_length(tmp_path):
    settings = Settings.for_smoke(str(tmp_path))
    lengths = np.array([1, 5, 20])
    files = write_records(settings, "some", lengths, num_files=2)
    of_file = []
    for file in files:
        (batch,) = evaluation_dataset([file], schema_of(settings), batch_size=8)
        assert sorted(batch["num_frames"].numpy()) == [1, 5, 20]
        assert np.all(np.sum(batch["labels"], axis=1) == 3)
        of_file.append(batch["frames"].numpy())
    assert not np.array_equal(*of_file)
