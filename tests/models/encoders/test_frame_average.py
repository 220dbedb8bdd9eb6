import numpy as np

from tests.layer_checks import run_layer_test
from yt8m_distill.models.encoders.frame_average import FrameAverage

NUM_FRAMES = np.array([5, 2, 1, 0], np.int32)


def padded_features():
    features = np.random.default_rng(4).normal(size=(4, 5, 3)).astype(np.float32)
    for video, num_frames in enumerate(NUM_FRAMES):
        features[video, num_frames:] = 0
    return features


def test_meets_what_is_asked_of_every_layer():
    run_layer_test(FrameAverage, {}, padded_features(), NUM_FRAMES, num_weights=0, needs_zero_padding=True)


def test_averages_the_frames_of_each_video():
    features = padded_features()
    encoding = FrameAverage()(features, NUM_FRAMES)["encoding"]
    for video, num_frames in enumerate(NUM_FRAMES[:3]):
        for column in range(3):
            expected = sum(float(features[video, frame, column]) for frame in range(num_frames)) / num_frames
            np.testing.assert_allclose(encoding[video, column], expected, rtol=1e-5)


def test_a_video_without_frames_is_encoded_as_zero():
    np.testing.assert_array_equal(FrameAverage()(padded_features(), NUM_FRAMES)["encoding"][3], np.zeros(3))
