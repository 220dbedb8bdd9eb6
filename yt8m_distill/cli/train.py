"""`train.py`, `yt8m-train`: trains a model on labels, or a few-frame student from a teacher."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import create_strategy_from, define_strategy_flags
from yt8m_distill.cli.distillation_flags import define_distillation_flags, distillation_config_from
from yt8m_distill.cli.model_flags import define_model_flags, model_config_from

_SAME_NAME = (
    "train_dir",
    "train_data_pattern",
    "eval_data_pattern",
    "batch_size",
    "num_epochs",
    "max_steps",
    "label_loss",
    "optimizer",
    "base_learning_rate",
    "learning_rate_decay",
    "learning_rate_decay_examples",
    "clip_gradient_norm",
    "regularization_penalty",
    "export_model_steps",
    "keep_checkpoints",
    "num_readers",
    "seed",
    "start_new_model",
    "mixed_precision",
    "jit_compile",
    "teacher_dir",
    "teacher_checkpoint",
    "student_init",
    "finetune_epochs",
)


def main(argv=None) -> int:
    return run_command(
        "train.py",
        "trains a model on labels, or a few-frame student from a teacher.",
        _define_flags,
        _run,
        argv,
    )


def _define_flags(groups):
    _define_data_flags(groups)
    define_model_flags(groups)
    _define_training_flags(groups)
    define_distillation_flags(groups)
    _define_machine_flags(groups)


def _define_data_flags(groups):
    group = "Data"
    groups.add(
        group,
        flags.DEFINE_string,
        "train_data_pattern",
        "",
        "Globs of the training TFRecords, comma-separated.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "eval_data_pattern",
        "",
        "Globs of validation TFRecords, evaluated after each epoch to keep the best checkpoint.",
    )
    groups.add(
        group, flags.DEFINE_string, "feature_names", "mean_rgb", "Names of the features, comma-separated."
    )
    groups.add(
        group, flags.DEFINE_string, "feature_sizes", "1024", "Width of each feature, in the same order."
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "frame_features",
        False,
        "The records are frame-level (tf.train.SequenceExample). Frame-level models need this.",
    )
    groups.add(
        group, flags.DEFINE_integer, "num_classes", 3862, "Size of the label vocabulary (4716 in 2017)."
    )
    groups.add(group, flags.DEFINE_integer, "max_frames", 300, "Frames kept of a longer video.")
    groups.add(group, flags.DEFINE_integer, "num_readers", 8, "Files read at once.")


def _define_training_flags(groups):
    group = "Training"
    groups.add(
        group, flags.DEFINE_string, "train_dir", "/tmp/yt8m_model/", "Where checkpoints and events go."
    )
    groups.add(
        group, flags.DEFINE_boolean, "start_new_model", False, "Delete what --train_dir holds and start over."
    )
    groups.add(group, flags.DEFINE_integer, "batch_size", 1024, "Examples a step of each replica.")
    groups.add(group, flags.DEFINE_integer, "num_epochs", 5, "Passes over the data.")
    groups.add(group, flags.DEFINE_integer, "max_steps", None, "Stop at this step.")
    groups.add(
        group,
        flags.DEFINE_string,
        "label_loss",
        "CrossEntropyLoss",
        "CrossEntropyLoss, HingeLoss or SoftmaxLoss.",
    )
    groups.add(group, flags.DEFINE_float, "regularization_penalty", 1.0, "Weight of the L2 penalties.")
    groups.add(
        group,
        flags.DEFINE_string,
        "optimizer",
        "AdamOptimizer",
        "Name of an optimizer in Keras or tensorflow-addons.",
    )
    groups.add(group, flags.DEFINE_float, "base_learning_rate", 0.01, "Learning rate of the first step.")
    groups.add(group, flags.DEFINE_float, "learning_rate_decay", 0.95, "Factor of each decay.")
    groups.add(group, flags.DEFINE_float, "learning_rate_decay_examples", 4000000, "Examples between decays.")
    groups.add(
        group,
        flags.DEFINE_float,
        "clip_gradient_norm",
        1.0,
        "Clip each variable's gradient to this norm; 0: never.",
    )
    groups.add(group, flags.DEFINE_integer, "export_model_steps", 1000, "Steps between checkpoints.")
    groups.add(group, flags.DEFINE_integer, "keep_checkpoints", 5, "Latest checkpoints kept.")
    groups.add(group, flags.DEFINE_integer, "seed", 0, "Seed of weights, data order and dropout.")


def _define_machine_flags(groups):
    define_strategy_flags(groups)
    group = "Machine"
    groups.add(
        group,
        flags.DEFINE_enum,
        "mixed_precision",
        "none",
        ["none", "bfloat16", "float16"],
        "Compute in 16 bits; weights stay float32.",
    )
    groups.add(group, flags.DEFINE_boolean, "jit_compile", False, "Compile the training step with XLA.")
    groups.add(
        group, flags.DEFINE_boolean, "log_device_placement", False, "Log the device of every operation."
    )


def _run(values):
    import tensorflow as tf

    from yt8m_distill.training import TrainingConfig, train

    if values.log_device_placement:
        tf.debugging.set_log_device_placement(True)
    model_config = model_config_from(values)
    settings = {name: values[name].value for name in _SAME_NAME}
    config = TrainingConfig(**settings, distillation=distillation_config_from(values))
    train(model_config, config, create_strategy_from(values))
