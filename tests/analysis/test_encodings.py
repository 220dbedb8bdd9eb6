import numpy as np
import pytest

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import FRAMES
from yt8m_distill.analysis import encodings
from yt8m_distill.models import create_model


def test_classes_that_never_occur_together_are_chosen():
    # Classes 0 and 1 always occur together; 2 and 3 never with any other; 4 is in every video, 5 in none.
    labels = np.zeros((12, 6), bool)
    labels[:5, :2] = labels[5:9, 2] = labels[9:, 3] = labels[:, 4] = True
    assert encodings.choose_classes(labels, num_classes=3) in ([0, 2, 3], [1, 2, 3])
    assert encodings.choose_classes(labels, num_classes=9) == [0, 1, 2, 3]


def test_only_frequent_classes_are_chosen():
    labels = np.zeros((12, 4), bool)
    labels[:6, 0] = labels[3:9, 1] = labels[9:11, 2] = labels[11, 3] = True
    assert encodings.choose_classes(labels, num_classes=3, num_frequent=2) == [0, 1]


def test_videos_have_exactly_one_of_the_classes():
    labels = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]], bool)
    positions, classes = encodings.choose_videos(labels, [0, 1], num_videos=4)
    assert positions.tolist() == [0, 2, 3]  # two of class 0, the only one of class 1
    assert classes.tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    videos = make_videos(FRAMES, 11)
    return videos, write_videos(tmp_path_factory.mktemp("records"), videos, FRAMES, num_shards=2)


def test_labels_of_all_records(records):
    videos, files = records
    labels = encodings.read_labels(files, FRAMES)
    assert [tuple(np.flatnonzero(row)) for row in labels] == [video.labels for video in videos]


def test_encodings_of_some_records(records, monkeypatch):
    videos, files = records
    monkeypatch.setattr(encodings, "_BATCH_SIZE", 4)
    model = create_model("FrameLevelLogisticModel", ("rgb",), (4,), num_classes=3, max_frames=8, num_sampled_frames=1)
    found = encodings.encode_videos(model, files, np.array([0, 5, 10]))
    # The model encodes as the mean of its frames: of one frame, here the first, scaled to length 1.
    firsts = [videos[position].frames[0] * (4 / 255) + (4 / 512 - 2) for position in (0, 5, 10)]
    np.testing.assert_allclose(found, [first / np.linalg.norm(first) for first in firsts], atol=1e-5)


def test_embedding_keeps_groups_together_and_is_seeded():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 10)
    teacher = 20 * group[:, None] + rng.standard_normal((20, 5))
    ours, theirs = encodings.embed_in_plane([teacher, teacher + 0.01])
    assert ours.shape == theirs.shape == (20, 2)
    together = np.concatenate([ours, theirs])
    distances = np.linalg.norm(together[:, None] - together, axis=-1) + np.diag([np.inf] * 40)
    assert (np.tile(group, 2)[distances.argmin(axis=1)] == np.tile(group, 2)).all()
    np.testing.assert_array_equal(encodings.embed_in_plane([teacher, teacher + 0.01])[0], ours)


def test_too_few_videos_for_an_embedding():
    with pytest.raises(ValueError, match="needs four videos or more"):
        encodings.embed_in_plane([np.zeros((3, 2))])
