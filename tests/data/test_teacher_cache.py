import json

import pytest

from yt8m_distill.data import DataError
from yt8m_distill.data.teacher_cache import TeacherCache, check_names, shard_name
from yt8m_distill.data.teacher_records import TeacherRecords

TEACHER = {"model": "LstmModel", "weights": "ab"}


@pytest.fixture
def video_file(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.tfrecord").write_bytes(b"videos")
    return str(tmp_path / "train" / "a.tfrecord")


@pytest.fixture
def cache(tmp_path, video_file):
    """A cache of one file, as it is found again."""
    cache = TeacherCache(str(tmp_path / "cache"), [TEACHER], TeacherRecords(5, 2))
    (tmp_path / "cache" / "train").mkdir(parents=True)
    (tmp_path / "cache" / "train" / "a.tfrecord.teacher").write_bytes(b"said")
    cache.add(video_file, 3)
    return TeacherCache.open(str(tmp_path / "cache"))


def test_the_manifest_on_disk(cache, tmp_path):
    assert json.loads((tmp_path / "cache" / "manifest.json").read_text()) == {
        "version": 2,
        "layout": {"num_classes": 5, "top_n": 2, "encoding_size": 0},
        "teachers": [TEACHER],
        "shards": {"train/a.tfrecord": {"bytes": 6, "records": 3, "cache_bytes": 4}},
    }
    assert cache.records == TeacherRecords(5, 2)


def test_files_that_the_teacher_read(cache, video_file, tmp_path, monkeypatch):
    cache.check_files([video_file])
    assert cache.path_of(video_file) == str(tmp_path / "cache" / "train" / "a.tfrecord.teacher")
    monkeypatch.chdir(tmp_path / "train")
    assert cache.problem_with("a.tfrecord") is None


def test_the_data_may_move(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train").rename(tmp_path / "elsewhere" / "train")
    cache.check_files([str(tmp_path / "elsewhere" / "train" / "a.tfrecord")])
    assert shard_name("gs://bucket/train/a.tfrecord") == "train/a.tfrecord"


def test_other_files_are_refused(cache, video_file, tmp_path):
    other = tmp_path / "train" / "b.tfrecord"
    other.write_bytes(b"videos")
    with pytest.raises(DataError, match=r"it has nothing of train/b.tfrecord"):
        cache.check_files([video_file, str(other)])
    with open(video_file, "ab") as file:
        file.write(b"!")
    with pytest.raises(DataError, match=r"a.tfrecord has 7 bytes, and had 6 when the teacher read it.*cache_teacher"):
        cache.check_files([video_file])


def test_a_damaged_cache_is_refused(cache, video_file, tmp_path):
    shard = tmp_path / "cache" / "train" / "a.tfrecord.teacher"
    shard.write_bytes(b"sa")
    with pytest.raises(DataError, match="teacher has 2 bytes, and had 4 when it was written"):
        cache.check_files([video_file])
    shard.unlink()
    with pytest.raises(DataError, match=r"a.tfrecord.teacher is missing"):
        cache.check_files([video_file])


def test_other_teachers_are_refused(cache):
    cache.check_teachers([dict(TEACHER)])
    with pytest.raises(DataError, match="num_sampled_frames=None, and this one has 30"):
        cache.check_teachers([{**TEACHER, "weights": "cd", "num_sampled_frames": 30}])
    with pytest.raises(DataError, match="weights='ab', and this one has 'cd'"):
        cache.check_teachers([{**TEACHER, "weights": "cd"}])
    with pytest.raises(DataError, match="it was made of 1, and now there are 2"):
        cache.check_teachers([TEACHER, TEACHER])


def test_the_order_of_teachers_does_not_matter(tmp_path):
    other = {"model": "DbofModel", "weights": "cd"}
    TeacherCache(str(tmp_path), [TEACHER, other], TeacherRecords(5, 2)).check_teachers([other, TEACHER])


def test_files_of_one_name():
    check_names(["x/train/a", "x/test/a", "x/train/a"])
    with pytest.raises(ValueError, match="x/train/a and y/train/a have in common"):
        check_names(["x/train/a", "y/train/a"])


@pytest.mark.parametrize(
    "manifest, message",
    [
        (None, "is no teacher cache: it has no manifest.json"),
        ("{", "is no manifest of a teacher cache"),
        ("[]", "is no manifest of a teacher cache"),
        ('{"version": 1}', "has version 1, this package reads 2"),
    ],
)
def test_what_is_no_cache(manifest, message, tmp_path):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match=message):
        TeacherCache.open(str(tmp_path))
