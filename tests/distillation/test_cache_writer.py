import numpy as np
import pytest
import tensorflow as tf

from tests.models.small_ensemble import make_model
from tests.records import make_videos, write_records, write_videos
from tests.training.tiny_runs import FRAMES, model_config
from yt8m_distill.data import DataError, TeacherCache
from yt8m_distill.distillation import prepare_teacher_cache, write_teacher_cache
from yt8m_distill.models import Ensemble

VIDEOS = make_videos(FRAMES, 11)
IDENTITY = [{"weights": "a"}]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Shards of 4, 4 and 3 videos, and an empty one between them."""
    folder = tmp_path_factory.mktemp("videos")
    return sorted([*write_videos(folder, VIDEOS, FRAMES, num_shards=3), write_records(folder / "shard00z", [])])


@pytest.fixture(scope="module")
def teacher():
    return make_model(model_config("FrameLevelLogisticModel", FRAMES))


def write(directory, teacher, files, identities=IDENTITY, **options):
    cache, missing = prepare_teacher_cache(str(directory), teacher, identities, files, **options)
    return cache, missing, write_teacher_cache(cache, teacher, missing, batch_size=3)


def read(cache, files):
    """Everything that a cache holds of the videos, in their order."""
    dataset = tf.data.TFRecordDataset([cache.path_of(file) for file in files])
    serialized = list(dataset.as_numpy_iterator())
    ids = tf.constant([video.video_id for video in VIDEOS])
    videos = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    return cache.records.parse(tf.constant(serialized), ids, tf.constant(videos), ids)


def outputs_of(teacher):
    frames = np.zeros([len(VIDEOS), FRAMES.max_frames, 4], np.uint8)
    for row, video in enumerate(VIDEOS):
        frames[row, : len(video.frames)] = video.frames
    return teacher({"frames": frames, "num_frames": np.array([len(video.frames) for video in VIDEOS])})


def test_a_cache_holds_what_the_teacher_says_of_every_video(teacher, files, tmp_path):
    cache, _, written = write(tmp_path, teacher, files, encodings=True)
    assert written == 11
    assert [cache.shards[name]["records"] for name in sorted(cache.shards)] == [4, 0, 4, 3]
    expected, stored = outputs_of(teacher), read(cache, files)
    np.testing.assert_allclose(stored["teacher_predictions"], expected["predictions"], rtol=4e-3)
    np.testing.assert_allclose(stored["teacher_encoding"], expected["encoding"], rtol=1e-3, atol=1e-4)
    TeacherCache.open(str(tmp_path)).check_files(files)


def test_several_teachers_teach_their_mean(teacher, files, tmp_path):
    few = make_model(model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=3), seed=1)
    ensemble = Ensemble([teacher, few])
    cache, _, _ = write(tmp_path, ensemble, files, identities=[{"weights": name} for name in "ab"])
    expected = outputs_of(ensemble)["predictions"]
    np.testing.assert_allclose(read(cache, files)["teacher_predictions"], expected, rtol=4e-3)
    with pytest.raises(ValueError, match="Several teachers have no encoding in common"):
        prepare_teacher_cache(str(tmp_path), ensemble, IDENTITY, files, encodings=True)


def test_an_interrupted_writing_goes_on_with_what_is_missing(teacher, files, tmp_path):
    cache, missing = prepare_teacher_cache(str(tmp_path), teacher, IDENTITY, files)
    assert missing == files

    def interrupt(num_videos):
        if num_videos > 6:  # the second file with videos is not full yet
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_teacher_cache(cache, teacher, missing, batch_size=1, on_batch=interrupt)
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(DataError, match=r"it has nothing of .*shard00z"):
        TeacherCache.open(str(tmp_path)).check_files(files)
    cache, missing, written = write(tmp_path, teacher, files)
    assert missing == files[1:] and written == 7
    np.testing.assert_allclose(read(cache, files)["teacher_predictions"], outputs_of(teacher)["predictions"], rtol=4e-3)
    assert write(tmp_path, teacher, files)[1:] == ([], 0)


def test_another_cache_is_not_added_to(teacher, files, tmp_path):
    write(tmp_path, teacher, files[1:2], top_n=2)  # the file without a video
    with pytest.raises(DataError, match="is another teacher's"):
        prepare_teacher_cache(str(tmp_path), teacher, [{"weights": "b"}], files, top_n=2)
    with pytest.raises(ValueError, match="has top_n=2 of 3 classes and no encodings; asked for were top_n=3"):
        prepare_teacher_cache(str(tmp_path), teacher, IDENTITY, files)


def test_a_bad_record_is_named(teacher, files, tmp_path):
    bad = write_records(tmp_path / "bad.tfrecord", [b"\xff"])
    with pytest.raises(DataError, match=r"bad.tfrecord record 0"):
        write(tmp_path / "cache", teacher, [bad])
