from __future__ import annotations

import numpy as np
import pytest

from tests.records import frame_record, real_files, write_records
from yt8m_distill.data.frame_statistics import (
    REAL_STATISTICS,
    dequantized,
    frame_statistics,
    read_frames,
)
from yt8m_distill.models.frame_input import dequantize

UNIT = 4 / 255  # of a byte, in features


def test_features_are_those_of_the_models():
    every_byte = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(dequantized(every_byte), dequantize(every_byte), rtol=0, atol=1e-6)


def test_statistics_of_two_shots():
    # Ten frames of one kind and ten of another: deviations are -a (10 times), then a.
    frames = np.repeat(np.array([[10, 0], [30, 0]], np.uint8), 10, axis=0)
    statistics = frame_statistics(frames)
    assert statistics["std"] == pytest.approx(10 * UNIT / np.sqrt(2))  # one of two values varies
    assert statistics["std_spread"] == pytest.approx(5 * UNIT)  # of 10 and 0
    assert statistics["lag_1"] == pytest.approx((18 - 1) / 20)  # 19 products, one of them negative
    assert statistics["lag_5"] == pytest.approx((10 - 5) / 20)
    assert statistics["still_steps"] == pytest.approx(18 / 19)
    assert statistics["leading_directions"] == pytest.approx(1)
    assert statistics["clipped"] == pytest.approx(1 / 2)


def test_white_noise_has_no_memory_and_no_leading_directions():
    rng = np.random.default_rng(0)
    frames = np.clip(128 + 30 * rng.standard_normal((300, 200)), 0, 255).astype(np.uint8)
    statistics = frame_statistics(frames)
    assert statistics["std"] == pytest.approx(30 * UNIT, rel=0.02)
    assert statistics["lag_1"] == pytest.approx(0, abs=0.02)
    assert statistics["lag_5"] == pytest.approx(0, abs=0.02)
    assert statistics["still_steps"] == 0
    # Marchenko-Pastur: the largest of n = 300 frames in 200 dimensions is at (1 + sqrt(200 / 300))**2 of the mean.
    assert 10 / 200 < statistics["leading_directions"] < 10 / 200 * (1 + np.sqrt(2 / 3)) ** 2


@pytest.mark.parametrize(
    ("frames", "message"),
    [(np.zeros((19, 4), np.uint8), "20 frames or more. Received: 19"), (np.zeros((20, 4), np.uint8), "20 equal ones")],
)
def test_videos_without_statistics_are_refused(frames, message):
    with pytest.raises(ValueError, match=message):
        frame_statistics(frames)


def test_read_frames_gives_what_the_records_hold(tmp_path):
    features = {"rgb": np.arange(12, dtype=np.uint8).reshape(4, 3), "audio": np.ones((4, 2), np.uint8)}
    path = write_records(tmp_path / "a", [frame_record(features, f"v{number}", [3, 7]) for number in range(3)])
    assert [video_id for video_id, _, _ in read_frames(path)] == ["v0", "v1", "v2"]
    ((video_id, labels, frames),) = read_frames(path, 1)
    assert (video_id, labels) == ("v0", [3, 7])
    assert list(frames) == ["audio", "rgb"] or list(frames) == ["rgb", "audio"]
    for name, expected in features.items():
        np.testing.assert_array_equal(frames[name], expected)


def test_the_stated_figures_are_those_of_the_real_record():
    (path,) = real_files("yt8m_2018_frame/SjJ3.tfrecord")
    ((_, _, frames),) = read_frames(path)
    for name, expected in REAL_STATISTICS.items():
        assert frame_statistics(frames[name]) == pytest.approx(expected, abs=0.0006)
    between_cards = [np.diff(dequantized(frames[name][14:144]), axis=0) for name in ("rgb", "audio")]
    is_still = [np.sqrt(np.mean(steps**2, axis=1)) < 0.1 for steps in between_cards]
    assert np.mean(is_still[0] & is_still[1]) == pytest.approx(1 / 11, abs=0.005)
