import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.models.length_buckets import in_length_buckets

MAX_FRAMES, WIDTH = 10, 3


def batch_of(num_frames, seed=0):
    frames = np.random.default_rng(seed).integers(0, 256, (len(num_frames), MAX_FRAMES, WIDTH), dtype=np.uint8)
    return {"frames": tf.constant(frames), "num_frames": tf.constant(num_frames, tf.int32)}


def recorder(shapes):
    def first_and_number_of_frames(inputs):
        shapes.append(tuple(inputs["frames"].shape))
        first = tf.cast(inputs["frames"][:, 0, :1], tf.float32)
        return tf.concat([first, tf.cast(inputs["num_frames"], tf.float32)[:, None]], axis=1)

    return in_length_buckets(first_and_number_of_frames)


@pytest.mark.parametrize(
    "num_videos, bucket_sizes",
    [(1, [1]), (255, [255]), (256, [128, 128]), (257, [129, 128]), (700, [175] * 4), (1024, [256] * 4)],
)
def test_each_bucket_is_as_long_as_its_longest_video(num_videos, bucket_sizes):
    num_frames = np.random.default_rng(1).integers(0, MAX_FRAMES + 1, num_videos)
    inputs, shapes = batch_of(num_frames), []
    predictions = recorder(shapes)(inputs)
    np.testing.assert_array_equal(predictions[:, 0], inputs["frames"][:, 0, 0])  # in the order of the batch
    np.testing.assert_array_equal(predictions[:, 1], num_frames)
    ends = np.cumsum(bucket_sizes)
    longest = np.sort(num_frames)[ends - 1]
    assert shapes == [(size, max(1, length), WIDTH) for size, length in zip(bucket_sizes, longest)]


def test_videos_without_frames_and_no_videos():
    shapes = []
    assert recorder(shapes)(batch_of([0, 0])).shape == (2, 2)
    assert recorder(shapes)(batch_of([])).shape == (0, 2)
    assert shapes == [(2, 1, WIDTH), (0, 1, WIDTH)]


def test_inputs_without_padding_pass_through():
    inputs = {"sampled_frames": tf.zeros([500, 2, 3]), "num_sampled_frames": tf.zeros([500])}
    given = []
    assert in_length_buckets(lambda batch: given.append(batch) or tf.ones([500, 1]))(inputs).shape == (500, 1)
    assert given == [inputs] and given[0] is inputs
