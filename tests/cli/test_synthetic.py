from __future__ import annotations

import numpy as np
import pytest

from tests.records import video_record, write_records
from yt8m_distill.cli import synthetic
from yt8m_distill.data.frame_statistics import read_frames


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """Twelve videos of two classes, in two files of video-level records."""
    folder = tmp_path_factory.mktemp("means")
    rng = np.random.default_rng(0)
    for shard in range(2):
        records = []
        for number in range(6):
            means = {"mean_rgb": 0.4 * rng.standard_normal(1024), "mean_audio": 0.4 * rng.standard_normal(128)}
            records.append(video_record(means, f"{shard}{number}", [number % 2]))
        write_records(folder / f"validate{shard}.tfrecord", records)
    return f"{folder}/validate*.tfrecord"


def run(pattern, folder, *arguments):
    arguments = ("--num_workers=1", "--num_shards=2", "--max_frames=25", *arguments)
    return synthetic.main(["synthetic.py", f"--input_data_pattern={pattern}", f"--output_dir={folder}", *arguments])


def test_records_and_their_statistics(pattern, tmp_path, capsys):
    assert run(pattern, tmp_path, "--prefix=validate") == 0
    printed = capsys.readouterr()
    assert "12 of 12 videos" in printed.err
    lines = printed.out.splitlines()
    assert lines[0] == f"Wrote 12 videos: {tmp_path}/validate0000.tfrecord to validate0001.tfrecord."
    (spread,) = (line for line in lines if line.startswith("spread within"))
    assert spread.split()[-3] == "0.971" and spread.split()[-1] == "0.923"  # the real record's
    videos = [video for shard in range(2) for video in read_frames(f"{tmp_path}/validate000{shard}.tfrecord")]
    assert [video_id for video_id, _, _ in videos] == [f"{shard}{number}" for shard in range(2) for number in range(6)]
    assert all(frames["rgb"].shape[1:] == (1024,) and len(frames["rgb"]) <= 25 for _, _, frames in videos)


def test_flags_reach_the_videos(pattern, tmp_path):
    for name, *flags in (("a",), ("b",), ("c", "--seed=1"), ("d", "--mixed_share=1")):
        assert run(pattern, tmp_path / name, "--num_videos=4", *flags) == 0
    shards = {name: (tmp_path / name / "train0001.tfrecord").read_bytes() for name in "abcd"}
    assert shards["a"] == shards["b"]
    assert len({shards["a"], shards["c"], shards["d"]}) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input_data_pattern="], "--input_data_pattern is missing"),
        (["--input_data_pattern=nowhere*"], "'nowhere*' matches no file"),
        (["--output_dir="], "--output_dir is missing"),
        (["--prefix=a/b"], "--prefix is of file names"),
        (["--num_shards=13"], "Of 12 videos in the input, 12 are to be written into 13 shards"),
        (["--num_videos=20"], "Of 12 videos in the input, 20"),
        (["--mixed_share=2"], "mixed_share"),
        (["--num_classes=1"], "num_classes"),
    ],
)
def test_errors_are_one_line(pattern, tmp_path, capsys, flags, message):
    assert run(pattern, tmp_path, *flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_not_overwritten(pattern, capsys):
    folder = pattern.rpartition("/")[0]
    assert run(pattern, folder, "--prefix=validate", "--overwrite") == 2
    assert "--overwrite might delete the input" in capsys.readouterr().err


def test_earlier_shards_are_not_replaced_unasked(pattern, tmp_path, capsys):
    (tmp_path / "train0000.tfrecord").write_bytes(b"mine")
    assert run(pattern, tmp_path) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "train0000.tfrecord").read_bytes() == b"mine"
    assert run(pattern, tmp_path, "--overwrite") == 0
    assert len(list(read_frames(str(tmp_path / "train0000.tfrecord")))) == 6
