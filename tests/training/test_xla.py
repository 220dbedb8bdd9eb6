import numpy as np
import pytest

from tests.training.tiny_runs import FRAMES, checkpoint_values, model_config, training_config, write_shards
from yt8m_distill.distillation import DistillationConfig
from yt8m_distill.models import write_model_flags
from yt8m_distill.training import train


def test_xla_with_a_recurrent_model_is_refused(tmp_path):
    pattern = write_shards(tmp_path / "records", FRAMES)
    config = model_config("LstmModel", FRAMES, hyperparameters={"lstm_cells": 2, "lstm_layers": 1})
    with pytest.raises(ValueError, match="jit_compile does not go with LstmModel"):
        train(config, training_config(tmp_path / "run", pattern, jit_compile=True))
    assert not (tmp_path / "run").exists()


def test_xla_with_a_recurrent_teacher_is_refused(tmp_path):
    pattern = write_shards(tmp_path / "records", FRAMES)
    lstm = model_config("LstmModel", FRAMES, hyperparameters={"lstm_cells": 2, "lstm_layers": 1})
    write_model_flags(str(tmp_path / "teacher"), lstm, "CrossEntropyLoss")
    distillation = DistillationConfig("serial", ("pred",))
    config = training_config(
        tmp_path / "run", pattern, jit_compile=True, distillation=distillation, teacher_dir=str(tmp_path / "teacher")
    )
    with pytest.raises(ValueError, match="jit_compile does not go with LstmModel"):
        train(model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2), config)


SALIENCY = {"frame_sampling": "saliency", "hyperparameters": {"saliency_inputs": "rgb:2"}}


def test_xla_with_a_learned_choice_of_frames_is_refused(tmp_path):
    pattern = write_shards(tmp_path / "records", FRAMES)
    config = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2, **SALIENCY)
    settings = {"jit_compile": True, "initial_train_dir": str(tmp_path / "teacher")}
    with pytest.raises(ValueError, match="--jit_compile does not go with --frame_sampling=saliency"):
        train(config, training_config(tmp_path / "run", pattern, **settings))


def test_xla_trains_as_tensorflow_does(tmp_path):
    pattern = write_shards(tmp_path / "records", FRAMES)
    config = model_config("FrameLevelLogisticModel", FRAMES, num_sampled_frames=2)
    for name in ("plain", "compiled"):
        train(config, training_config(tmp_path / name, pattern, jit_compile=name == "compiled"))
    plain, compiled = (checkpoint_values(tmp_path / name) for name in ("plain", "compiled"))
    for name, value in plain.items():
        np.testing.assert_allclose(compiled[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
