import pytest

from yt8m_distill.models.hyperparameters import check_hyperparameters

SKIPS = {"skip_min": 5, "skip_max": 25, "skip_step": 1}


@pytest.mark.parametrize("name", ["moe_num_mixtures", "lstm_layers", "gru_layers", "mix_number", "attention_layers"])
def test_what_is_made_one_by_one_is_bounded(name):
    others = {"dropout_rate": 0.0, "video_level_classifier_model": "LogisticModel"}
    check_hyperparameters({name: 1000, **others})
    with pytest.raises(ValueError, match=rf"^{name} must be at most 1000\. Received: 1000000\.$"):
        check_hyperparameters({name: 1_000_000, **others})


@pytest.mark.parametrize("name", ["frame_pooling", "block_length", "iterations", "saliency_window"])
def test_what_videos_are_padded_to_is_bounded(name):
    check_hyperparameters({name: 100_000})
    with pytest.raises(ValueError, match=rf"^{name} must be at most 100000\. Received: 2147483647\.$"):
        check_hyperparameters({name: 2**31 - 1})


def test_the_number_of_skips_is_bounded():
    check_hyperparameters({**SKIPS, "skip_max": 1005})
    check_hyperparameters({**SKIPS, "skip_max": 2**31 - 1, "skip_step": 10**7})
    with pytest.raises(ValueError, match=r"at most 1000 skips\. Received: .* skip_step=1, which leave 2147483642\.$"):
        check_hyperparameters({**SKIPS, "skip_max": 2**31 - 1})


def test_a_value_is_quoted_in_part():
    with pytest.raises(ValueError, match="leading_values must be text") as error:
        check_hyperparameters({"leading_values": ["rgb"] * 100_000})
    assert len(str(error.value)) < 200
