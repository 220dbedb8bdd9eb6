"""What the pictures of single videos show."""

import numpy as np
import pytest

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import model_config
from yt8m_distill.analysis.video_pictures import frames_of, read_videos, scores_along_time, spread_evenly
from yt8m_distill.data import RecordSchema
from yt8m_distill.data.frame_sampling import FrameSampler

SCHEMA = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=6, max_frames=12)
VIDEOS = make_videos(SCHEMA, 3, num_frames=[12, 0, 5])


def make_model(**changes):
    model = model_config("FrameLevelLogisticModel", SCHEMA, **changes).build()
    model.set_weights([np.random.default_rng(3).standard_normal(w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_videos(folder, VIDEOS, SCHEMA)
    return [str(path) for path in folder.glob("*.tfrecord")]


def test_scores_are_those_of_each_window_alone():
    model, frames = make_model(), VIDEOS[0].frames
    centers, scores = scores_along_time(model, frames, window=5)
    np.testing.assert_array_equal(centers, np.arange(8) + 2)
    for start in range(8):
        alone = model({"frames": frames[None, start : start + 5], "num_frames": np.array([5])})["predictions"][0]
        np.testing.assert_allclose(scores[start], alone, atol=1e-6)
    centers, scores = scores_along_time(model, frames[:3], window=5)
    assert list(centers) == [1] and scores.shape == (1, 6)


def test_scores_of_a_model_that_chooses_its_frames_are_of_whole_windows():
    skipping = model_config(
        "LstmModel", SCHEMA, frame_sampling="skip_frame", num_sampled_frames=2, hyperparameters={"lstm_cells": 3}
    ).build()
    plain = model_config("LstmModel", SCHEMA, hyperparameters={"lstm_cells": 3}).build()
    for part in ("encoder", "classifier"):
        getattr(plain, part).set_weights(getattr(skipping, part).get_weights())
    expected = scores_along_time(plain, VIDEOS[0].frames, window=5)[1]
    np.testing.assert_allclose(scores_along_time(skipping, VIDEOS[0].frames, window=5)[1], expected, atol=1e-6)


def test_long_videos_have_a_hundred_windows():
    centers, _ = scores_along_time(make_model(), np.zeros([12, 4], np.uint8).repeat(40, axis=0)[:300], window=15)
    assert len(centers) == 100 and centers[0] == 7 and centers[-1] == 292


def test_reads_the_videos_that_have_frames(files):
    model = make_model(num_sampled_frames=4)
    first, second = read_videos(model, files, 5, num_sampled_frames=4, window=3)
    assert [reading.num_frames for reading in (first, second)] == [12, 5]
    assert (first.video_id, second.video_id) == (VIDEOS[0].video_id, VIDEOS[2].video_id)
    assert first.labels == sorted(VIDEOS[0].labels)
    chosen = dict(second.chosen)
    np.testing.assert_array_equal(chosen["uniform"], [0, 1, 2, 3])
    np.testing.assert_array_equal(chosen["last"], [1, 2, 3, 4])
    np.testing.assert_array_equal(chosen["this model"], chosen["uniform"])
    assert len(chosen["random"]) == 4
    best = np.argsort(-first.predictions)[:3]
    assert set(first.classes) == {*first.labels, *best} and first.scores.shape == (10, len(first.classes))


def test_a_model_of_all_frames_reads_them_all(files):
    (reading,) = read_videos(make_model(), files, 1, num_sampled_frames=5, window=3)
    np.testing.assert_array_equal(dict(reading.chosen)["this model"], np.arange(12))
    assert "stride" not in dict(reading.chosen)  # 12 frames have no even spacing of 5


def test_a_model_that_pools_frames_reads_each_of_them(files):
    model = make_model(hyperparameters={"frame_pooling": 5})
    (reading,) = read_videos(model, files, 1, num_sampled_frames=5, window=3)
    np.testing.assert_array_equal(dict(reading.chosen)["this model"], np.arange(12))
    model = make_model(hyperparameters={"frame_pooling": 2}, num_sampled_frames=4)
    (reading,) = read_videos(model, files, 1, num_sampled_frames=4, window=3)
    np.testing.assert_array_equal(dict(reading.chosen)["this model"], dict(reading.chosen)["uniform"])


def test_frames_spread_evenly():
    np.testing.assert_array_equal(spread_evenly(12, 4), frames_of(FrameSampler("uniform", 4, max_frames=12), 12))
    np.testing.assert_array_equal(spread_evenly(3, 10), [0, 1, 2])
