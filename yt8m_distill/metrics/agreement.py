"""`Agreement`: how far a student predicts what its teacher predicts, with or without labels."""

from __future__ import annotations

import numpy as np

from yt8m_distill.metrics.checks import check_finite
from yt8m_distill.metrics.ranking import rank_classes

_EPSILON = 1e-8


class Agreement:
    """Accumulates the agreement of two models over the videos of a dataset; any batching gives the same result.

    Args:
      top_k: how many of each video's best classes are compared.

    >>> agreement = Agreement(top_k=1)
    >>> agreement.accumulate(np.array([[0.9, 0.1], [0.2, 0.6]]), np.array([[0.7, 0.3], [0.5, 0.4]]))
    >>> agreement.result()["top_1_agreement"]
    0.5
    """

    def __init__(self, top_k: int = 20):
        if top_k < 1:
            raise ValueError(f"`top_k`, the classes compared per video, must be at least 1. Received: top_k={top_k}.")
        self.top_k = top_k
        self._num_videos = 0
        self._same_best = 0
        self._common = 0.0
        self._kl = 0.0

    def accumulate(self, teacher_predictions, student_predictions) -> None:
        """Adds a batch.

        Args:
          teacher_predictions, student_predictions: probabilities, real numbers [B, C].

        Raises:
          ValueError: they differ in shape, or a prediction is NaN or infinite. Nothing is added.
        """
        teacher, student = (np.asarray(p, np.float32) for p in (teacher_predictions, student_predictions))
        if teacher.ndim != 2 or teacher.shape != student.shape:
            raise ValueError(
                "Predictions of teacher and student must both have shape [batch, num_classes]. "
                f"Received: teacher {teacher.shape}, student {student.shape}."
            )
        check_finite(teacher)
        check_finite(student)
        depth = min(self.top_k, teacher.shape[1])
        of_teacher, of_student = rank_classes(teacher, depth), rank_classes(student, depth)  # [B, depth]
        is_among = np.zeros(teacher.shape, bool)
        np.put_along_axis(is_among, of_student, True, axis=1)
        self._num_videos += len(teacher)
        self._same_best += int(np.count_nonzero(of_teacher[:, 0] == of_student[:, 0]))
        self._common += np.count_nonzero(np.take_along_axis(is_among, of_teacher, axis=1)) / depth
        self._kl += float(_bernoulli_kl(teacher.astype(np.float64), student.astype(np.float64)).sum())

    def result(self) -> dict:
        """Dict of `top_1_agreement`, the share of videos whose best class is the same, `top_<k>_agreement`, the mean
        share of the teacher's k best classes that are among the student's, and `kl`, the mean over videos of
        KL(teacher || student) of each class's yes-or-no distribution, summed over classes; NaN without videos.
        """
        count = self._num_videos or float("nan")
        return {
            "top_1_agreement": self._same_best / count,
            f"top_{self.top_k}_agreement": self._common / count,
            "kl": self._kl / count,
        }


def _bernoulli_kl(p, q):
    """KL of Bernoulli distributions, [B, C], of float64 probabilities."""
    yes = p * (np.log(p + _EPSILON) - np.log(q + _EPSILON))
    no = (1 - p) * (np.log(1 - p + _EPSILON) - np.log(1 - q + _EPSILON))
    return yes + no
