import numpy as np
import tensorflow as tf

from yt8m_distill.models.prediction_function import prediction_function


def test_one_graph_serves_all_batch_sizes_and_lengths_and_every_kind_of_input_has_its_own():
    shapes = []

    @prediction_function
    def double(inputs):
        (name,) = inputs
        shapes.append((name, inputs[name].shape.as_list(), inputs[name].dtype))
        return 2 * inputs[name]

    for size in (3, 3, 1, 0, 7):
        values = np.arange(2 * size, dtype=np.float32).reshape(size, 2)
        np.testing.assert_array_equal(double({"features": values}), 2 * values)
    double({"features": tf.ones([3, 5])})
    for length in (4, 1):
        double({"frames": tf.ones([3, length, 5], tf.int32)})
    assert shapes == [
        ("features", [None, 2], tf.float32),
        ("features", [None, 5], tf.float32),
        ("frames", [None, None, 5], tf.int32),
    ]
