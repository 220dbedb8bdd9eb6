from __future__ import annotations

import pytest

from yt8m_distill.data.schema import RecordSchema


def test_official_frame_level_schema():
    schema = RecordSchema(("rgb", "audio"), (1024, 128), frame_features=True)
    assert schema.feature_width == 1152
    assert schema.num_classes == 3862  # the 2018 release
    assert schema.max_frames == 300


def test_video_level_by_default():
    assert not RecordSchema(("mean_rgb",), (1024,)).frame_features


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"feature_names": ("rgb", "audio"), "feature_sizes": (1024,)},
            "the same number of features. Received: feature_names='rgb,audio' (2 names), "
            "feature_sizes='1024' (1 sizes)",
        ),
        ({"feature_names": (), "feature_sizes": ()}, "(0 names)"),
        ({"feature_names": ("rgb", "rgb")}, "distinct"),
        ({"feature_names": ("rgb", "")}, "not empty"),
        ({"feature_sizes": (1024, 0)}, "feature_sizes must be from 1 to 1048576. Received: (1024, 0)"),
        ({"feature_sizes": (10**9, 1)}, "feature_sizes must be from 1 to 1048576. Received: (1000000000, 1)"),
        ({"num_classes": 1}, "num_classes must be at least 2. Received: 1"),
        ({"max_frames": 0}, "max_frames must be at least 1. Received: 0"),
    ],
)
def test_rejects(arguments, message):
    with pytest.raises(ValueError) as error:
        RecordSchema(**{"feature_names": ("rgb", "audio"), "feature_sizes": (1024, 128), **arguments})
    assert message in str(error.value)


def test_lists_become_tuples():
    schema = RecordSchema(["rgb", "audio"], [8, 4])
    assert schema == RecordSchema(("rgb", "audio"), (8, 4)) and hash(schema)
