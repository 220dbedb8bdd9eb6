import numpy as np
import pytest
import tensorflow as tf

from tests.records import frame_record, with_segments, write_records
from yt8m_distill.data.errors import DataError
from yt8m_distill.data.segment_ratings import read_label_cache, read_segment_ratings, write_label_cache

FRAMES = {"rgb": np.zeros([3, 4], np.uint8)}
RATINGS = {7: {"a:0": 1.0, "b:5": 0.0}, 3861: {"a:5": 0.25}}


@pytest.fixture
def files(tmp_path):
    first = with_segments(frame_record(FRAMES, "a"), [7, 3861], [0, 5], [1.0, 0.25])
    second = with_segments(frame_record(FRAMES, "b", id_key="video_id"), [7, 7], [5, 5], [1.0, 0.0])
    return [write_records(tmp_path / "one", [frame_record(FRAMES), first]), write_records(tmp_path / "two", [second])]


def test_ratings_of_files(files):
    """Ids are text: as the bytes that Python 3 reads, no submission would ever match them. The last of two holds."""
    assert read_segment_ratings(files) == RATINGS


def test_files_without_ratings(tmp_path):
    path = write_records(tmp_path / "none", [frame_record(FRAMES)])
    with pytest.raises(DataError, match=r"The 1 file\(s\), .*none and so on, hold no rated segment"):
        read_segment_ratings([path])


def test_a_bad_record_is_named(tmp_path):
    path = write_records(tmp_path / "bad", [with_segments(frame_record(FRAMES, "x"), [1], [], [1.0])])
    with pytest.raises(DataError, match=f"video 'x' in {path} record 0: segment_labels and segment_start_times have"):
        read_segment_ratings([path])


def test_an_id_that_is_no_text_is_named(tmp_path):
    example = tf.train.SequenceExample.FromString(with_segments(frame_record(FRAMES, "x"), [1], [0], [1.0]))
    example.context.feature["id"].bytes_list.value[0] = b"\xff"
    path = write_records(tmp_path / "bad", [example.SerializeToString()])
    with pytest.raises(DataError, match=r"video id b'\\xff' is not UTF-8; correct the `id` feature"):
        read_segment_ratings([path])


@pytest.mark.parametrize("video_id", ["a,b", "a b", "a'b"])
def test_what_the_cache_cannot_hold_is_not_written(tmp_path, video_id):
    with pytest.raises(DataError, match=r"cache\.csv: cannot hold segment .*:5.*, whose id has a comma, a quote"):
        write_label_cache(str(tmp_path / "cache.csv"), {7: {"a:0": 1.0, f"{video_id}:5": 1.0}})
    assert list(tmp_path.iterdir()) == []


def test_the_cache(tmp_path):
    path = tmp_path / "cache.csv"
    write_label_cache(str(path), RATINGS)
    assert path.read_text() == "a:0,7,1\nb:5,7,0\na:5,3861,0.25\n"
    assert read_label_cache(str(path)) == RATINGS
    path.write_text("a:0,7,1.0\r\nb:5,7,0.0\r\na:5,3861,0.250000")
    assert read_label_cache(str(path)) == RATINGS


@pytest.mark.parametrize(
    "line", ["b'a':0,7,1", "a:0,7", "a,7,1", "a:0,-7,1", "a:0,7,x", "a:0,7,nan", "a:x,7,1", "", "a:0,7,1,2"]
)
def test_a_bad_line_of_the_cache_is_named(tmp_path, line):
    path = tmp_path / "cache.csv"
    path.write_text(f"a:0,7,1\n{line}\n")
    with pytest.raises(DataError, match=r"cache.csv: line 2 is not .* Remove the file; it is made anew"):
        read_label_cache(str(path))


def test_an_empty_cache(tmp_path):
    (tmp_path / "cache.csv").write_text("")
    with pytest.raises(DataError, match="holds no rating"):
        read_label_cache(str(tmp_path / "cache.csv"))
