import dataclasses

import pytest

from yt8m_distill.distillation import LOSS_PRESETS, LOSSES, DistillationConfig


def test_defaults_are_all_losses_of_the_paper_from_a_frozen_teacher():
    config = DistillationConfig()
    assert config.scheme == "serial" and config.losses == ("rep", "pred", "ce")
    assert [config.weight(loss) for loss in LOSSES] == [1, 1, 1, 1, 1, 100]
    assert config.prediction_kl == "categorical" and config.pred_reduction == "mean"


def test_the_authors_preset_counts_the_encodings_twice_and_sums_the_predictions():
    config = DistillationConfig(**LOSS_PRESETS["authors_code"])
    assert {loss: config.weight(loss) for loss in config.losses} == {"rep": 2, "pred": 1, "ce": 1}
    assert config.pred_reduction == "sum" and config.prediction_kl == "categorical"


def test_losses_become_a_tuple():
    assert DistillationConfig(losses=["rep", "ce"]).losses == ("rep", "ce")


@pytest.mark.parametrize(
    "losses, trains_classifier",
    [(["rep"], False), (["rep", "int"], False), (["pred"], True), (["rep", "ce"], True)],
    ids=str,
)
def test_labels_and_predictions_train_the_classifier(losses, trains_classifier):
    assert DistillationConfig(losses=losses).trains_classifier is trains_classifier


@pytest.mark.parametrize(
    "choices, message",
    [
        ({"scheme": "both"}, "distillation must be one of serial, parallel. Received: 'both'"),
        ({"losses": ["kl"]}, "distillation_losses must be one of rep, pred, ce, int, frame, map. Received: 'kl'"),
        ({"losses": []}, "must list losses once each"),
        ({"losses": ["ce", "rep", "ce"]}, "must list losses once each. Received: 'ce,rep,ce'"),
        ({"prediction_kl": "softmax"}, "prediction_kl must be one of categorical, bernoulli"),
        ({"pred_reduction": "max"}, "pred_reduction must be one of mean, sum"),
        ({"intermediate_alignment": "video"}, "intermediate alignment must be one of frame, block, both"),
        ({"rep_weight": -1.0}, "rep_weight must not be negative. Received: -1.0"),
        ({"int_weight": -0.5}, "int_weight must not be negative"),
        ({"share_classifier": True}, "share_classifier needs distillation='parallel'"),
        ({"scheme": "parallel", "losses": ["rep"]}, "losses 'rep' train no classifier for the student"),
        ({"scheme": "parallel", "losses": ["rep", "int"]}, "use share_classifier to give it the teacher's"),
    ],
    ids=str,
)
def test_impossible_choices_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        DistillationConfig(**choices)


def test_a_parallel_student_without_a_loss_on_its_classifier_may_share_the_teachers():
    assert not DistillationConfig("parallel", ("rep",), share_classifier=True).trains_classifier


def test_a_config_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DistillationConfig().scheme = "parallel"
