import math

import numpy as np
import pytest

from tests.layer_checks import run_layer_test
from yt8m_distill.models.frame_input import FrameInput, dequantize, l2_normalize

NUM_FRAMES = np.array([4, 2, 0], np.int32)
FRAMES = np.random.default_rng(11).integers(0, 256, (3, 4, 5)).astype(np.uint8)


def frame_in_python(row):
    """Dequantises one row of bytes and scales it to length 1."""
    values = [q * (4 / 255) + (4 / 512 - 2) for q in map(int, row)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


@pytest.mark.parametrize(
    "config", [{"unit_length": True}, {"unit_length": False, "scale": [2.0] * 5, "offset": [0.0, 1.0, 2.0, 3.0, 4.0]}]
)
def test_meets_what_is_asked_of_every_layer(config):
    run_layer_test(FrameInput, config, FRAMES, NUM_FRAMES, num_weights=0)


@pytest.mark.parametrize(
    "quantized, expected", [(0, -1.9921875), (127, -3.0637e-5), (128, 0.015655637), (255, 2.0078125)]
)
def test_dequantizes_as_the_original(quantized, expected):
    np.testing.assert_allclose(dequantize(np.uint8(quantized)), expected, atol=5e-7)


def test_dequantizing_overestimates_a_rounded_value_by_one_128th():
    values = np.linspace(-2, 2, 10_001)
    quantized = np.array([round((value + 2) * 255 / 4) for value in values], np.uint8)
    errors = dequantize(quantized).numpy() - values
    np.testing.assert_allclose(errors.mean(), 1 / 128, atol=1e-4)
    assert errors.min() > -1e-4 and errors.max() < 0.0158


def test_l2_normalize_keeps_zero_rows_zero():
    np.testing.assert_allclose(l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])


def test_dequantizes_and_normalizes_all_features_jointly():
    features = FrameInput()(FRAMES, NUM_FRAMES).numpy()
    assert features.dtype == np.float32
    for video, num_frames in enumerate(NUM_FRAMES):
        for frame in range(4):
            expected = frame_in_python(FRAMES[video, frame]) if frame < num_frames else [0] * 5
            np.testing.assert_allclose(features[video, frame], expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_takes_frames_that_are_dequantized_already(dtype):
    dequantized = dequantize(FRAMES).numpy().astype(dtype)
    tolerance = 2e-3 if dtype == np.float16 else 1e-6
    expected = FrameInput()(FRAMES, NUM_FRAMES)
    np.testing.assert_allclose(FrameInput()(dequantized, NUM_FRAMES), expected, atol=tolerance)


@pytest.mark.parametrize("padding", [np.nan, np.inf, 1e30])
def test_padding_may_hold_anything(padding):
    dequantized = dequantize(FRAMES).numpy()
    dequantized[np.arange(4) >= NUM_FRAMES[:, None]] = padding
    np.testing.assert_array_equal(FrameInput()(dequantized, NUM_FRAMES), FrameInput()(FRAMES, NUM_FRAMES))


def test_a_zero_frame_inside_the_video_stays_zero():
    frames = np.zeros((1, 2, 5), np.float32)
    np.testing.assert_array_equal(FrameInput()(frames, np.array([2])), frames)


def test_reverses_the_whitening_of_rgb_alone():
    layer = FrameInput.reverse_whitened(("audio", "rgb"), (2, 3), eigenvalues=[4.0, 1.0, 0.25, 0.1])
    features = layer(FRAMES, NUM_FRAMES).numpy()
    for frame in range(4):
        for place in range(5):
            expected = int(FRAMES[0, frame, place]) * (4 / 255) + (4 / 512 - 2)
            if place >= 2:
                expected = (expected - 4 / 512) * (math.sqrt([4.0, 1.0, 0.25][place - 2]) + 1e-4)
            assert math.isclose(features[0, frame, place], expected, rel_tol=1e-5, abs_tol=1e-6)
    np.testing.assert_array_equal(features[1, 2:], np.zeros((2, 5)))


def test_without_eigenvalues_frames_keep_their_length():
    layer = FrameInput.reverse_whitened(("audio",), (5,))
    np.testing.assert_array_equal(layer(FRAMES, np.array([4, 4, 4])), dequantize(FRAMES))


def test_whitening_is_that_of_rgb():
    with pytest.raises(ValueError, match=r"eigenvalues are those of the feature 'rgb'. Received: audio."):
        FrameInput.reverse_whitened(("audio",), (5,), [1.0] * 5)
