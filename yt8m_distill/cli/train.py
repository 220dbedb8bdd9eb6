"""`train.py`, `yt8m-train`: trains a model on labels, or a few-frame student from a teacher."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import create_strategy_from, define_bad_records_flag, define_strategy_flags
from yt8m_distill.cli.distillation_flags import apply_recipe, define_distillation_flags, distillation_config_from
from yt8m_distill.cli.model_flags import define_architecture_flags, define_model_flags, model_config_from
from yt8m_distill.cli.training_flags import define_training_flags, training_config_from


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
    define_training_flags(groups)
    define_distillation_flags(groups)
    _define_machine_flags(groups)
    define_architecture_flags(groups)


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
    groups.add(group, flags.DEFINE_string, "feature_names", "mean_rgb", "Names of the features, comma-separated.")
    groups.add(group, flags.DEFINE_string, "feature_sizes", "1024", "Width of each feature, in the same order.")
    groups.add(
        group,
        flags.DEFINE_boolean,
        "frame_features",
        False,
        "The records are frame-level (tf.train.SequenceExample). Frame-level models need this.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "segment_labels",
        False,
        "Train and validate on the rated segments of frame-level records (2019) instead of whole videos.",
    )
    groups.add(group, flags.DEFINE_integer, "num_classes", 3862, "Size of the label vocabulary (4716 in 2017).")
    groups.add(group, flags.DEFINE_integer, "max_frames", 300, "Frames kept of a longer video.")
    groups.add(group, flags.DEFINE_integer, "num_readers", 8, "Files read at once.")
    define_bad_records_flag(groups, group)


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
    groups.add(
        group,
        flags.DEFINE_boolean,
        "jit_compile",
        False,
        "Compile the training step with XLA; not for recurrent models.",
    )
    groups.add(group, flags.DEFINE_boolean, "log_device_placement", False, "Log the device of every operation.")


def _run(values):
    import tensorflow as tf

    from yt8m_distill.training import train

    apply_recipe(values)
    if values.log_device_placement:
        tf.debugging.set_log_device_placement(True)
    model_config = model_config_from(values)
    config = training_config_from(values, distillation_config_from(values))
    train(model_config, config, create_strategy_from(values))
