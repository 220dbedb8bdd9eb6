import numpy as np
import pytest

from yt8m_distill.distillation.agreement import batch_agreement
from yt8m_distill.metrics import Agreement

NINTH_STEP, TENTH_STEP = 8, 9  # updates before it


@pytest.mark.parametrize("num_classes", [5, 40])
def test_is_the_agreement_that_evaluation_measures(num_classes):
    teacher, student = np.random.default_rng(0).uniform(0.01, 0.99, (2, 6, num_classes)).astype(np.float32)
    agreement = Agreement()
    agreement.accumulate(teacher, student)
    received = batch_agreement(TENTH_STEP, teacher, student, 6.0)
    assert {name: float(value) for name, value in received.items()} == pytest.approx(agreement.result(), rel=1e-4)


def test_replicas_add_up():
    teacher, student = np.random.default_rng(1).uniform(0.01, 0.99, (2, 5, 30)).astype(np.float32)
    whole = batch_agreement(TENTH_STEP, teacher, student, 5.0)
    parts = [batch_agreement(TENTH_STEP, teacher[rows], student[rows], 5.0) for rows in (slice(3), slice(3, 5))]
    for name, value in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-5, err_msg=name)


def test_steps_that_are_not_logged_compute_nothing():
    values = batch_agreement(NINTH_STEP, np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), 2.0)
    assert [float(value) for value in values.values()] == [0, 0, 0]
