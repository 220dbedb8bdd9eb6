"""The flags of the original starter code, and their defaults."""

import dataclasses
import io
import pickle

import numpy as np
import pytest

from yt8m_distill.cli import eval as eval_command
from yt8m_distill.cli import inference, segment_eval_inference, train
from yt8m_distill.cli.command import FlagGroups
from yt8m_distill.cli.model_flags import model_config_from
from yt8m_distill.models import ZOO
from yt8m_distill.training import TrainingConfig

TRAIN = {
    "train_dir": "/tmp/yt8m_model/",
    "train_data_pattern": "",
    "feature_names": "mean_rgb",
    "feature_sizes": "1024",
    "frame_features": False,
    "segment_labels": False,
    "model": "LogisticModel",
    "start_new_model": False,
    "num_gpu": 1,
    "batch_size": 1024,
    "label_loss": "CrossEntropyLoss",
    "regularization_penalty": 1.0,
    "base_learning_rate": 0.01,
    "learning_rate_decay": 0.95,
    "learning_rate_decay_examples": 4000000,
    "num_epochs": 5,
    "max_steps": None,
    "export_model_steps": 1000,
    "num_readers": 8,
    "optimizer": "AdamOptimizer",
    "clip_gradient_norm": 1.0,
    "log_device_placement": False,
    # Of the models:
    "moe_num_mixtures": 2,
    "lstm_cells": 1024,
    "lstm_layers": 2,
    # The original's MoeModel does not suit every model here, so the model decides.
    "video_level_classifier_model": None,
}
EVAL = {
    "train_dir": "/tmp/yt8m_model/",
    "eval_data_pattern": "",
    "batch_size": 1024,
    "num_readers": 8,
    "run_once": False,
    "segment_labels": False,
    "top_k": 20,
}
INFERENCE = {
    "train_dir": "",
    "input_data_pattern": "",
    "input_model_tgz": "",
    "untar_model_dir": "/tmp/yt8m-model",
    "output_file": "",
    "output_model_tgz": "",
    "segment_labels": False,
    # The original's is the address of a file on the web, which it downloads.
    "segment_label_ids_file": "",
    "segment_max_pred": 100000,
    "top_k": 20,
    "batch_size": 512,
    "num_readers": 1,
}
SEGMENT_EVAL = {"eval_data_pattern": "", "label_cache": "", "submission_file": "", "top_n": 0}
# What this package adds, and what its results depend on.
ADDED_TO_TRAIN = {
    "num_classes": 3862,
    "max_frames": 300,
    "seed": 0,
    "frame_sampling": None,
    "num_sampled_frames": None,
    "frame_percent": None,
    "every_n": None,
    "num_blocks": None,
    "distillation": "none",
    "teacher_dir": "",
    "distillation_losses": "pred,ce",
    "rep_weight": 1.0,
    "pred_weight": 5.0,
    "ce_weight": 1.0,
    "int_weight": 1.0,
    "prediction_kl": "bernoulli",
    "recipe": "best",
    "match": "final",
    "finetune_epochs": 0,
    "student_init": "scratch",
    "loss_preset": None,
    "strategy": "auto",
    "mixed_precision": "none",
    "jit_compile": False,
    "gradient_accumulation_steps": 1,
    "learning_rate_schedule": "exponential",
    "warmup_steps": 0,
    "weight_decay": None,
    "label_smoothing": 0.0,
    "mixup_alpha": 0.0,
    "mixup_level": "encoding",
    "ema_decay": 0.0,
}


@pytest.mark.parametrize(
    "command, expected",
    [
        (train, TRAIN),
        (train, ADDED_TO_TRAIN),
        (eval_command, EVAL),
        (inference, INFERENCE),
        (segment_eval_inference, SEGMENT_EVAL),
    ],
    ids=["train", "added to train", "eval", "inference", "segment_eval_inference"],
)
def test_defaults(command, expected):
    groups = FlagGroups()
    command._define_flags(groups)
    defaults = {name: groups.values[name].default for name in expected}
    assert defaults == expected
    # 1 == 1.0 == True: an integer flag must not have become a float or a boolean.
    assert {name: type(value) for name, value in defaults.items() if name != "learning_rate_decay_examples"} == {
        name: type(value) for name, value in expected.items() if name != "learning_rate_decay_examples"
    }


@pytest.mark.parametrize("command", [train, eval_command, inference, segment_eval_inference])
def test_every_flag_has_a_help_text(command):
    groups = FlagGroups()
    command._define_flags(groups)
    assert all(groups.values[name].help for name in groups.values)


def test_every_choice_of_a_training_run_has_a_flag():
    groups = FlagGroups()
    train._define_flags(groups)
    fields = {field.name for field in dataclasses.fields(TrainingConfig)} - {"distillation"}
    assert fields <= set(groups.values)


def test_every_hyperparameter_has_a_flag_with_its_default():
    """A default that differs between models is None, which leaves it to the model."""
    groups = FlagGroups()
    train._define_flags(groups)
    for name, spec in ZOO.items():
        for hyperparameter, default in spec.hyperparameters.items():
            if hyperparameter == "eigenvalues":
                assert groups.values["eigenvalues_file"].default is None
                continue
            flag = groups.values[hyperparameter]
            defaults = {other.hyperparameters.get(hyperparameter, default) for other in ZOO.values()}
            assert flag.default == (default if len(defaults) == 1 else None), (name, hyperparameter)


def eigenvalues_from(path):
    groups = FlagGroups()
    train._define_flags(groups)
    argv = ["train.py", "--model=NeXtVLADModel", "--frame_features", "--feature_names=rgb", "--feature_sizes=2"]
    groups.values([*argv, f"--eigenvalues_file={path}"])
    return model_config_from(groups.values).hyperparameters["eigenvalues"]


@pytest.mark.parametrize("ending", ["npy", "txt"])
def test_eigenvalues_are_read_from_numpy_and_text_files(ending, tmp_path):
    path = tmp_path / f"eigenvals.{ending}"
    values = np.array([4.0, 1.0, 0.25])
    np.save(path, values) if ending == "npy" else np.savetxt(path, values)
    assert eigenvalues_from(path) == [4.0, 1.0, 0.25]


def npy(values, old=b"", new=b""):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue().replace(old, new, 1)


@pytest.mark.parametrize(
    "ending, content",
    [
        ("npy", b""),
        ("npy", npy(np.ones(3))[:-4]),
        ("npy", npy(np.ones(3), b"(3,)", b"(3e ")),  # no Python, which numpy reads with a tokenizer
        ("npy", npy(np.ones(3), b"(3,), }            ", b"(3000000000000,), }")),
        ("npy", pickle.dumps([4.0, 1.0])),
        ("npy", npy(np.array([4.0, "x"], object))),
        ("npy", npy(np.array(["x"]))),
        ("npy", npy(np.ones(3) * 1j)),
        ("npy", npy(np.zeros(3, [("a", float)]))),
        ("npy", b"PK\x03\x04 an npz archive"),
        ("txt", b"4.0\nx\n"),
        ("txt", bytes(range(256))),
    ],
)
def test_a_file_of_no_eigenvalues_is_named(ending, content, tmp_path):
    path = tmp_path / f"eigenvals.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"--eigenvalues_file={path}: holds no list of numbers \("):
        eigenvalues_from(path)


def test_moe_flags_need_a_mixture_of_experts():
    groups = FlagGroups()
    train._define_flags(groups)
    groups.values(["train.py", "--model=NeXtVLADModel", "--frame_features", "--moe_num_mixtures=4"])
    with pytest.raises(ValueError, match="--moe_num_mixtures needs --video_level_classifier_model=MoeModel with NeXt"):
        model_config_from(groups.values)
