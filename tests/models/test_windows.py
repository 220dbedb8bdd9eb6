"""Videos cut into windows."""

import numpy as np
import tensorflow as tf

from yt8m_distill.models.windows import mean_over_windows, window_lengths, windows_of


def test_windows_cut_the_rows_and_pad_the_last():
    rows = tf.constant(np.arange(14).reshape(1, 7, 2))
    np.testing.assert_array_equal(windows_of(rows, 3)[0, 2], [[12, 13], [0, 0], [0, 0]])
    np.testing.assert_array_equal(window_lengths(tf.constant([7, 4, 0]), 7, 3), [[3, 3, 1], [3, 1, 0], [0, 0, 0]])
    means = mean_over_windows(tf.constant([[[1.0], [2.0], [3.0], [4.0], [9.0]]]), tf.constant([4]), 3)
    np.testing.assert_allclose(means, [[[2.0], [4.0]]])
