import numpy as np
import pytest

from tests.training.tiny_runs import FRAMES, checkpoint_values, model_config, save_model, training_config, write_shards
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.training import train
from yt8m_distill.training.curriculum import frames_of_epoch, sampler_of_epoch
from yt8m_distill.training.run import _Run


def test_a_geometric_series():
    assert [frames_of_epoch(epoch, 80, 10, 3) for epoch in range(6)] == [80, 40, 20, 10, 10, 10]
    assert [frames_of_epoch(epoch, 10, 2, 2) for epoch in range(4)] == [10, 4, 2, 2]  # 10 / sqrt(5) = 4.47
    assert frames_of_epoch(0, 7, 7, 1) == 7


def test_only_the_number_of_frames_changes():
    sampler = FrameSampler("uniform", 10, jitter=True)
    assert sampler_of_epoch(sampler, 1, 40, 2) == FrameSampler("uniform", 20, jitter=True)
    assert sampler_of_epoch(sampler, 5, 0, 0) is sampler


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("curriculum") / "records", FRAMES, count=6, num_shards=1)


@pytest.fixture
def frames_read(monkeypatch):
    """The frame budget of the student in each pass, and that of its evaluation."""
    seen, fit = [], _Run._fit_dataset

    def spy(run, phase, epoch, callback):
        fit(run, phase, epoch, callback)
        seen.append(run.student.sampler.num_sampled_frames)

    monkeypatch.setattr(_Run, "_fit_dataset", spy)
    return seen


def test_a_model_on_labels_reads_fewer_frames_from_pass_to_pass(pattern, frames_read, tmp_path):
    config = training_config(tmp_path / "run", pattern, num_epochs=4, curriculum_frames=8, curriculum_epochs=2)
    train(model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2), config)
    assert frames_read == [8, 4, 2, 2]


def test_a_student_learns_from_as_many_frames_as_the_curriculum_says(pattern, frames_read, tmp_path):
    """With the frame budget equal to all frames in the first pass, teacher and student of equal weights agree."""
    teacher = model_config("FrameLevelLogisticModel", FRAMES).build()
    teacher.set_weights([np.random.default_rng(0).standard_normal(w.shape) for w in teacher.get_weights()])
    save_model(tmp_path / "teacher", teacher)
    settings = {
        "distillation": DistillationConfig(losses=("pred",)),
        "teacher_dir": str(tmp_path / "teacher"),
        "student_init": "teacher",
        "base_learning_rate": 0.1,
        "regularization_penalty": 0.0,
        "curriculum_frames": 8,
        "curriculum_epochs": 1,
    }
    student = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=1)

    def weights_after(num_epochs):
        train(student, training_config(tmp_path / "run", pattern, num_epochs=num_epochs, **settings))
        values = checkpoint_values(tmp_path / "run")
        return np.concatenate([v.ravel() for name, v in values.items() if name.startswith("model/classifier")])

    before = np.concatenate([w.ravel() for w in teacher.get_weights()])
    np.testing.assert_allclose(np.sort(weights_after(1)), np.sort(before), atol=1e-5)  # all frames: nothing to learn
    assert np.abs(np.sort(weights_after(2)) - np.sort(before)).max() > 1e-3  # one frame: much
    assert frames_read == [8, 1]


@pytest.mark.parametrize(
    "budget, first, message",
    [
        ({"num_sampled_frames": 4}, 3, r"must be from num_sampled_frames=4 to max_frames=8. Received: 3"),
        ({"num_sampled_frames": 4}, 9, r"Received: 9"),
        ({"frame_percent": 50}, 8, "comes down to one number of frames"),
        ({}, 8, "comes down to one number of frames"),
        ({"num_sampled_frames": 4, "frame_budgets": (2, 4)}, 8, "no --frame_budgets"),
    ],
)
def test_what_has_no_curriculum(pattern, budget, first, message, tmp_path):
    config = training_config(tmp_path / "run", pattern, curriculum_frames=first, curriculum_epochs=1)
    with pytest.raises(ValueError, match=message):
        train(model_config("FrameLevelLogisticModel", FRAMES, **budget), config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", ["curriculum_frames", "curriculum_epochs"])
def test_both_flags_are_needed(given, tmp_path):
    with pytest.raises(ValueError, match="needs both --curriculum_frames and --curriculum_epochs"):
        training_config(tmp_path, **{given: 3})
