"""Losses between class probabilities and labels. Each returns one value a video, float32 [B].

All take labels [B, C], bool or float in [0, 1]; predictions, probabilities float32 [B, C]; and label_weights float32
[B, C], by which the loss of each class counts (0 for a class that nobody rated), or None.

Sources: the original's losses.py, whose names these functions go by in `--label_loss`; FocalLoss is ours.
"""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.stack import keras


def cross_entropy_loss(labels, predictions, label_weights=None):
    """Sum over classes of the binary cross entropy, with the original's epsilon of 1e-5 inside both logarithms."""
    epsilon = 1e-5
    labels = tf.cast(labels, tf.float32)
    likelihood = labels * tf.math.log(predictions + epsilon) + (1 - labels) * tf.math.log(1 - predictions + epsilon)
    return _sum_over_classes(-likelihood, label_weights)


def hinge_loss(labels, predictions, label_weights=None):
    """Sum over classes of max(0, 1 - sign * prediction), sign +1 for a positive label and -1 otherwise."""
    sign = 2 * tf.cast(labels, tf.float32) - 1
    return _sum_over_classes(tf.nn.relu(1 - sign * predictions), label_weights)


def softmax_loss(labels, predictions, label_weights=None):
    """Cross entropy between the labels, scaled to sum to 1, and the softmax of the predictions."""
    labels = tf.cast(labels, tf.float32)
    share = labels / tf.maximum(tf.reduce_sum(labels, axis=-1, keepdims=True), 1e-7)
    return _sum_over_classes(-share * tf.nn.log_softmax(predictions), label_weights)


def focal_loss(labels, predictions, label_weights=None):
    """Sum over classes of Keras' binary focal cross entropy, with its gamma of 2 and without class balancing.

    Well classified examples count little: the binary cross entropy is multiplied by (1 - probability of the label)^2.

    Source: Lin et al., "Focal Loss for Dense Object Detection" (arXiv:1708.02002).
    """
    labels = tf.cast(labels, tf.float32)
    # Keras takes the mean over the last axis, here of one value.
    losses = keras.losses.binary_focal_crossentropy(labels[..., None], predictions[..., None])
    return _sum_over_classes(losses, label_weights)


def _sum_over_classes(losses, label_weights):
    if label_weights is not None:
        losses = losses * label_weights
    return tf.reduce_sum(losses, axis=-1)


LABEL_LOSSES = {
    "CrossEntropyLoss": cross_entropy_loss,
    "HingeLoss": hinge_loss,
    "SoftmaxLoss": softmax_loss,
    "FocalLoss": focal_loss,
}
