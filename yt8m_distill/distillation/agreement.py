"""How far a student agrees with its teacher on the training batch; of a whole dataset, see `metrics.Agreement`."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.distillation.losses import bernoulli_kl
from yt8m_distill.models.training_step import is_logged_step

_TOP_K = 20


def batch_agreement(step, teacher_predictions, student_predictions, num_examples):
    """This replica's share of the batch's agreement; zeros at steps that are not logged.

    Args:
      step: number of updates so far, integer scalar.
      teacher_predictions, student_predictions: float32 [B, C].
      num_examples: examples over all replicas, float32 scalar.

    Returns:
      Dict of float32 scalars that add up over replicas: `top_1_agreement`, the share of videos whose best class is the
      same, `top_20_agreement`, the mean share of the teacher's 20 best classes that are among the student's, and `kl`,
      the mean of `bernoulli_kl`.
    """

    def compute():
        top_k = min(_TOP_K, teacher_predictions.shape[-1])
        of_teacher = tf.math.top_k(teacher_predictions, top_k).indices  # [B, top_k]
        of_student = tf.math.top_k(student_predictions, top_k).indices
        is_common = tf.reduce_any(of_teacher[:, :, None] == of_student[:, None, :], axis=-1)
        return {
            "top_1_agreement": _share(of_teacher[:, 0] == of_student[:, 0], num_examples),
            "top_20_agreement": _share(is_common, num_examples) / top_k,
            "kl": tf.reduce_sum(bernoulli_kl(teacher_predictions, student_predictions)) / num_examples,
        }

    def skip():
        return {name: tf.constant(0.0) for name in ("top_1_agreement", "top_20_agreement", "kl")}

    return tf.cond(is_logged_step(step), compute, skip)


def _share(is_true, num_examples):
    return tf.reduce_sum(tf.cast(is_true, tf.float32)) / num_examples
