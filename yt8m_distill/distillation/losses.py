"""What a student is asked to match of its teacher. Each loss returns one value a video, float32 [B].

Sources: "Efficient Video Classification Using Fewer Frames" (CVPR 2019) and its authors' code; "I Have Seen Enough"
(2018 workshop) for the intermediate matching. Temperature, the normalised L_rep and the Bernoulli divergence are not
theirs.
"""

from __future__ import annotations

import tensorflow as tf

_EPSILON = 1e-8
# The largest float32 below 1. Adding an epsilon to 1 - p is not enough: TensorFlow may compute (1 + 1e-8) - p, which is
# 0 where p is 1, and its logarithm makes the loss NaN.
_BELOW_ONE = 1 - 2.0**-24


def representation_loss(teacher_encoding, student_encoding):
    """L_rep: squared distance of the encodings, summed over their width. Both float32 [B, E]."""
    return tf.reduce_sum(tf.math.squared_difference(teacher_encoding, student_encoding), axis=-1)


def normalized_representation_loss(teacher_encoding, student_encoding):
    """L_rep in units of the teacher's own scale: squared distance over the squared length of the teacher's encoding.

    1 for a student that says 0, whatever the width and range of the encoding; the plain sum over thousands of unbounded
    LSTM states swamps the other losses. Ours; 0 where the teacher's encoding is 0 (a video without frames).
    """
    scale = tf.reduce_sum(tf.square(teacher_encoding), axis=-1)
    return tf.math.divide_no_nan(representation_loss(teacher_encoding, student_encoding), scale)


def categorical_kl(teacher_predictions, student_predictions, temperature: float = 1.0):
    """L_pred as in the authors' code: KL(teacher || student) of the class probabilities scaled to sum to 1.

    The authors pass sigmoid outputs to `Categorical(probs=...)`, which normalises them over the classes. They add no
    epsilon, and take the sum over the batch where `Distiller` takes the mean by default.

    Args:
      teacher_predictions, student_predictions: probabilities float32 [B, C].
      temperature: T of softened distributions, p^(1/T) scaled to sum to 1; the divergence is multiplied by T^2, so that
        its gradients keep their size (Hinton et al., "Distilling the Knowledge in a Neural Network", section 2).
    """

    def log_probabilities(predictions):
        return tf.nn.log_softmax(tf.math.log(predictions + _EPSILON) / temperature)

    teacher, student = log_probabilities(teacher_predictions), log_probabilities(student_predictions)
    return temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)


def bernoulli_kl(teacher_predictions, student_predictions, temperature: float = 1.0):
    """KL(teacher || student) of each class's yes-or-no distribution, summed over classes. Both float32 [B, C].

    With a temperature T, the logits of both are divided by T and the divergence is multiplied by T^2, as in
    `categorical_kl`.
    """

    def log_odds(predictions):
        predictions = tf.clip_by_value(predictions, _EPSILON, _BELOW_ONE)
        return tf.math.log(predictions) - tf.math.log1p(-predictions)

    teacher, student = (log_odds(p) / temperature for p in (teacher_predictions, student_predictions))
    # p log(p / q) + (1 - p) log((1 - p) / (1 - q)), with p and q the sigmoids of these.
    divergence = tf.math.sigmoid(teacher) * (teacher - student) + tf.math.softplus(student) - tf.math.softplus(teacher)
    return temperature**2 * tf.reduce_sum(divergence, axis=-1)


def masked_state_loss(teacher_states, student_states, is_valid):
    """Squared distance of states, summed over their width and averaged over the valid ones.

    Args:
      teacher_states, student_states: [B, T, H], already aligned.
      is_valid: bool [B, T]. A video without a valid state gives 0.
    """
    difference = tf.cast(teacher_states, tf.float32) - tf.cast(student_states, tf.float32)
    weight = tf.cast(is_valid, tf.float32)
    distance = tf.reduce_sum(tf.square(difference), axis=-1)  # [B, T]
    return tf.math.divide_no_nan(tf.reduce_sum(distance * weight, axis=-1), tf.reduce_sum(weight, axis=-1))


def feature_map_loss(teacher_states, student_states, is_valid):
    """Mean squared difference of states, over their width and over the valid ones; arguments as `masked_state_loss`."""
    return masked_state_loss(teacher_states, student_states, is_valid) / teacher_states.shape[-1]


PREDICTION_KL = {"categorical": categorical_kl, "bernoulli": bernoulli_kl}
