import math

import numpy as np
import pytest

from yt8m_distill.metrics import Agreement

TEACHER = np.array([[0.9, 0.1, 0.5], [0.2, 0.6, 0.4], [0.5, 0.25, 0.75]])
STUDENT = np.array([[0.8, 0.3, 0.2], [0.7, 0.5, 0.1], [0.5, 0.25, 0.75]])


def bernoulli_kl(p, q):
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_by_hand():
    agreement = Agreement(top_k=2)
    agreement.accumulate(TEACHER, STUDENT)
    # Best classes: 0, 1, 2 and 0, 0, 2. Two best: {0, 2}, {1, 2}, {2, 0} and {0, 1}, {0, 1}, {2, 0}.
    pairs = [(p, q) for row in zip(TEACHER, STUDENT) for p, q in zip(*row)]
    assert agreement.result() == {
        "top_1_agreement": pytest.approx(2 / 3),
        "top_2_agreement": pytest.approx((0.5 + 0.5 + 1) / 3),
        "kl": pytest.approx(sum(bernoulli_kl(p, q) for p, q in pairs) / 3, rel=1e-6),
    }


def test_a_model_agrees_with_itself():
    predictions = np.random.default_rng(0).uniform(size=(7, 30))
    agreement = Agreement()
    agreement.accumulate(predictions, predictions)
    assert agreement.result() == {"top_1_agreement": 1.0, "top_20_agreement": 1.0, "kl": 0.0}


def test_any_batching_gives_the_same():
    random = np.random.default_rng(1)
    teacher, student = random.uniform(size=(2, 11, 25))
    whole, parts = Agreement(), Agreement()
    whole.accumulate(teacher, student)
    for start, stop in ((0, 4), (4, 4), (4, 11)):
        parts.accumulate(teacher[start:stop], student[start:stop])
    assert parts.result() == pytest.approx(whole.result(), rel=1e-12)


def test_certain_predictions_and_fewer_classes_than_top_k():
    agreement = Agreement()
    agreement.accumulate(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    result = agreement.result()
    assert (result["top_1_agreement"], result["top_20_agreement"]) == (0, 1)
    assert result["kl"] == pytest.approx(2 * math.log(1e8))


def test_nothing_was_compared():
    assert all(math.isnan(value) for value in Agreement().result().values())


@pytest.mark.parametrize(
    "teacher, student, message",
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), r"same shape|Received: teacher \(2, 3\), student \(2, 4\)"),
        (np.zeros(3), np.zeros(3), r"\[batch, num_classes\]"),
        (np.array([[np.nan]]), np.zeros((1, 1)), "must be finite"),
        (np.zeros((1, 1)), np.array([[np.inf]]), "must be finite"),
    ],
)
def test_bad_predictions_are_refused_and_nothing_is_added(teacher, student, message):
    agreement = Agreement()
    with pytest.raises(ValueError, match=message):
        agreement.accumulate(teacher, student)
    assert math.isnan(agreement.result()["kl"])


def test_top_k_must_be_positive():
    with pytest.raises(ValueError, match="top_k=0"):
        Agreement(top_k=0)
