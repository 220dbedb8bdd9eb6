"""What a student is asked to match of its teacher. Each loss returns one value a video, float32 [B].

Sources: "Efficient Video Classification Using Fewer Frames" (CVPR 2019) and its authors' code; "I Have Seen Enough"
(2018 workshop) for the intermediate matching.
"""

from __future__ import annotations

import tensorflow as tf

_EPSILON = 1e-8


def representation_loss(teacher_encoding, student_encoding):
    """L_rep: squared distance of the encodings, summed over their width. Both float32 [B, E]."""
    return tf.reduce_sum(tf.math.squared_difference(teacher_encoding, student_encoding), axis=-1)


def categorical_kl(teacher_predictions, student_predictions):
    """L_pred as in the authors' code: KL(teacher || student) of the class probabilities scaled to sum to 1.

    The authors pass sigmoid outputs to `Categorical(probs=...)`, which normalises them over the classes. They add no
    epsilon, and take the sum over the batch where `Distiller` takes the mean by default.

    Args:
      teacher_predictions, student_predictions: probabilities float32 [B, C].
    """
    teacher, student = (
        p / tf.reduce_sum(p, axis=-1, keepdims=True)
        for p in (teacher_predictions + _EPSILON, student_predictions + _EPSILON)
    )
    return tf.reduce_sum(teacher * (tf.math.log(teacher) - tf.math.log(student)), axis=-1)


def bernoulli_kl(teacher_predictions, student_predictions):
    """KL(teacher || student) of each class's yes-or-no distribution, summed over classes. Both float32 [B, C]."""

    def divergence(teacher, student):
        return teacher * (tf.math.log(teacher + _EPSILON) - tf.math.log(student + _EPSILON))

    yes = divergence(teacher_predictions, student_predictions)
    no = divergence(1 - teacher_predictions, 1 - student_predictions)
    return tf.reduce_sum(yes + no, axis=-1)


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


PREDICTION_KL = {"categorical": categorical_kl, "bernoulli": bernoulli_kl}
