import pytest

from tests.models.small_ensemble import make_model
from tests.training.tiny_runs import FRAMES, model_config, save_model
from yt8m_distill.distillation import teacher_identity


@pytest.fixture(scope="module")
def identity_of(tmp_path_factory):
    """Saves a model with weights drawn by a seed and describes it."""

    def describe(seed=0, step=1, **changes):
        folder = tmp_path_factory.mktemp("teacher")
        save_model(folder, make_model(model_config("FrameLevelLogisticModel", FRAMES, **changes), seed), step)
        return teacher_identity(str(folder))

    return describe


def test_the_same_weights_are_the_same_teacher(identity_of):
    identity = identity_of()
    assert identity == identity_of(step=7)
    assert identity["feature_names"] == ["rgb"] and identity["num_classes"] == 3 and "every_n" not in identity
    assert identity == {**identity_of(seed=1), "weights": identity["weights"]} != identity_of(seed=1)


def test_what_a_teacher_reads_is_part_of_it(identity_of):
    few = identity_of(num_sampled_frames=3)
    assert few == {**identity_of(), "num_sampled_frames": 3}
    assert few != identity_of(num_sampled_frames=3, frame_sampling="last")


def test_jitter_is_not_which_evaluation_does_not_have(identity_of):
    assert identity_of(num_sampled_frames=3, frame_jitter=True) == identity_of(num_sampled_frames=3)


def test_of_its_hyperparameters_those_count_that_are_not_the_defaults(identity_of):
    hyperparameters = {"bit_depth": 4, "frame_pooling": 1}
    assert identity_of(hyperparameters=hyperparameters) == {**identity_of(), "hyperparameters": {"bit_depth": 4}}
