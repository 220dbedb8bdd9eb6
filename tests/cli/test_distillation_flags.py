"""Recipes: what a distillation does about flags that are not on the command line."""

import pytest

from yt8m_distill.cli import train
from yt8m_distill.cli.command import FlagGroups
from yt8m_distill.cli.distillation_flags import apply_recipe, distillation_config_from

FRAMES = ["--model=LstmModel", "--frame_features", "--feature_names=rgb", "--feature_sizes=4"]
SERIAL = [*FRAMES, "--distillation=serial", "--teacher_dir=teacher", "--num_sampled_frames=3"]


def values_of(*flags):
    groups = FlagGroups()
    train._define_flags(groups)
    groups.values(["train.py", *flags])
    apply_recipe(groups.values)
    return groups.values


def choices(values):
    config = distillation_config_from(values)
    losses = (config.losses, config.pred_weight, config.prediction_kl)
    return (*losses, values.student_init, values.frame_jitter, values.ema_decay)


BEST = (("pred", "ce"), 5.0, "bernoulli", "auto", True, 0.999)
PUBLISHED = (("rep", "pred", "ce"), 1.0, "categorical", "scratch", False, 0.0)


def test_recipes():
    assert choices(values_of(*SERIAL)) == choices(values_of(*SERIAL, "--recipe=best")) == BEST
    assert choices(values_of(*SERIAL, "--recipe=published")) == PUBLISHED


def test_what_is_on_the_command_line_counts():
    given = ["--distillation_losses=rep,ce", "--noframe_jitter", "--ema_decay=0", "--student_init=scratch"]
    expected = (("rep", "ce"), 5.0, "bernoulli", "scratch", False, 0.0)
    assert choices(values_of(*SERIAL, "--recipe=best", *given)) == expected
    given = ["--prediction_kl=bernoulli", "--pred_weight=2", "--frame_jitter"]
    expected = (("rep", "pred", "ce"), 2.0, "bernoulli", "scratch", True, 0.0)
    assert choices(values_of(*SERIAL, "--recipe=published", *given)) == expected


def test_weights_are_averaged_once():
    assert values_of(*SERIAL, "--optimizer=SWA").ema_decay == 0


@pytest.mark.parametrize(
    "budget, is_jittered",
    [
        (["--num_sampled_frames=3", "--frame_sampling=uniform"], True),
        (["--frame_percent=10"], True),
        (["--every_n=10"], False),
        (["--every_n=10", "--frame_sampling=uniform"], True),
        (["--num_sampled_frames=3", "--frame_sampling=random"], False),
        ([], False),
    ],
    ids=str,
)
def test_frames_are_jittered_where_the_budget_allows_it(budget, is_jittered):
    values = values_of(*FRAMES, "--distillation=serial", "--recipe=best", *budget)
    assert values.frame_jitter == is_jittered
    train.model_config_from(values)  # which refuses jitter of other budgets


def test_without_a_distillation_nothing_changes():
    values = values_of(*FRAMES, "--num_sampled_frames=3")
    assert (values.frame_jitter, values.ema_decay, values.student_init) == (False, 0, "scratch")
    with pytest.raises(ValueError, match="--recipe needs --distillation"):
        values_of(*FRAMES, "--recipe=best")


def test_a_loss_preset_is_a_recipe_of_its_own():
    assert choices(values_of(*SERIAL, "--loss_preset=authors_code")) == PUBLISHED
    with pytest.raises(ValueError, match="give one of the two"):
        values_of(*SERIAL, "--loss_preset=authors_code", "--recipe=best")
