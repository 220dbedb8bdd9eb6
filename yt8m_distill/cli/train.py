"""`train.py`, `yt8m-train`: trains a model on labels, or a few-frame student from a teacher."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.command import run_command
from yt8m_distill.cli.common_flags import (
    comma_list,
    create_strategy_from,
    define_strategy_flags,
    integer_list,
)

_HYPERPARAMETERS = (
    "video_level_classifier_model",
    "moe_num_mixtures",
    "dropout_rate",
    "lstm_cells",
    "lstm_layers",
    "num_blocks",
    "block_length",
    "lstm_state",
)
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
    _define_model_flags(groups)
    _define_training_flags(groups)
    _define_distillation_flags(groups)
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


def _define_model_flags(groups):
    group = "Model"
    groups.add(
        group,
        flags.DEFINE_string,
        "model",
        "LogisticModel",
        "LogisticModel or MoeModel on mean features; FrameLevelLogisticModel, LstmModel or HierarchicalLstmModel on "
        "frames.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "video_level_classifier_model",
        None,
        "Classifier on the encoding: LogisticModel or MoeModel. The default depends on --model.",
    )
    groups.add(
        group, flags.DEFINE_integer, "moe_num_mixtures", 2, "Experts a class, without the dummy expert."
    )
    groups.add(group, flags.DEFINE_float, "dropout_rate", 0.0, "Dropout before the classifier.")
    groups.add(group, flags.DEFINE_integer, "lstm_cells", 1024, "Units of each LSTM layer.")
    groups.add(
        group, flags.DEFINE_integer, "lstm_layers", 2, "LSTM layers (of each level of HierarchicalLstmModel)."
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "num_blocks",
        None,
        "HierarchicalLstmModel: blocks that the frames are split into. By default 20, or 5 with a frame budget, or the "
        "next smaller number that divides the frames.",
    )
    groups.add(
        group, flags.DEFINE_integer, "block_length", None, "HierarchicalLstmModel: frames a block, instead."
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "lstm_state",
        "all",
        "HierarchicalLstmModel: encode as 'all' cell and hidden states, or 'hidden' states only.",
    )
    group = "Frame budget"
    groups.add(
        group,
        flags.DEFINE_string,
        "frame_sampling",
        None,
        "Which frames: uniform, stride (the authors' every_n), random, first, middle, last or first_middle_last. The "
        "default is stride with --every_n and uniform otherwise.",
    )
    groups.add(group, flags.DEFINE_integer, "num_sampled_frames", None, "Read k frames of a video.")
    groups.add(group, flags.DEFINE_float, "frame_percent", None, "Read so many percent of the frames.")
    groups.add(group, flags.DEFINE_integer, "every_n", None, "Read every n-th frame.")


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


def _define_distillation_flags(groups):
    group = "Distillation"
    groups.add(
        group,
        flags.DEFINE_enum,
        "distillation",
        "none",
        ["none", "serial", "parallel"],
        "serial: learn from the trained teacher in --teacher_dir. parallel: train teacher and student together.",
    )
    groups.add(group, flags.DEFINE_string, "teacher_dir", "", "The teacher's train_dir.")
    groups.add(
        group,
        flags.DEFINE_enum,
        "teacher_checkpoint",
        "latest",
        ["latest", "best"],
        "Which checkpoint of the teacher: the latest, or the best by validation GAP.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "distillation_losses",
        "rep,pred,ce",
        "Any of rep (encodings), pred (probabilities), ce (labels), int (intermediate states).",
    )
    for name, what in (
        ("rep", "encoding"),
        ("pred", "probability"),
        ("ce", "label"),
        ("int", "intermediate"),
    ):
        groups.add(group, flags.DEFINE_float, f"{name}_weight", 1.0, f"Weight of the {what} loss.")
    groups.add(
        group,
        flags.DEFINE_enum,
        "prediction_kl",
        "categorical",
        ["categorical", "bernoulli"],
        "KL divergence of pred: over classes scaled to sum to 1 (the authors'), or class by class.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "match",
        "final",
        ["final", "intermediate"],
        "intermediate adds int to --distillation_losses.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "intermediate",
        "frame",
        ["frame", "block", "both"],
        "States that int compares: after each frame, after each block, or both.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "loss_preset",
        None,
        ["authors_code"],
        "The losses and weights of the authors' code: 2 rep + pred summed over the batch + ce.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "project_encoding",
        False,
        "Learn a linear map between encodings of different width, for rep.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "share_classifier",
        False,
        "parallel: one classifier for teacher and student.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "student_init",
        "scratch",
        ["scratch", "teacher"],
        "Start the student from fresh weights, or from the teacher's.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "finetune_epochs",
        0,
        "Passes on the labels alone, after the distillation.",
    )


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
    model_config = _model_config(values)
    settings = {name: values[name].value for name in _SAME_NAME}
    config = TrainingConfig(**settings, distillation=_distillation_config(values))
    train(model_config, config, create_strategy_from(values))


def _model_config(values):
    from yt8m_distill.models import ModelConfig

    config = ModelConfig(
        model=values.model,
        feature_names=comma_list(values.feature_names),
        feature_sizes=integer_list("feature_sizes", values.feature_sizes),
        num_classes=values.num_classes,
        max_frames=values.max_frames,
        frame_sampling=values.frame_sampling,
        num_sampled_frames=values.num_sampled_frames,
        frame_percent=values.frame_percent,
        every_n=values.every_n,
        # Only what was given: a hyperparameter that the model does not have is then an error.
        hyperparameters={name: values[name].value for name in _HYPERPARAMETERS if values[name].present},
    )
    if config.frame_level and not values.frame_features:
        raise ValueError(f"{config.model} reads frames: add --frame_features.")
    if values.frame_features and not config.frame_level:
        raise ValueError(
            f"{config.model} reads mean features: leave out --frame_features, or choose a frame-level model."
        )
    return config


def _distillation_config(values):
    from yt8m_distill.distillation import LOSS_PRESETS, DistillationConfig

    names = (
        "rep_weight",
        "pred_weight",
        "ce_weight",
        "int_weight",
        "prediction_kl",
        "project_encoding",
        "share_classifier",
    )
    choices = ("distillation_losses", "match", "intermediate", "loss_preset")
    if values.distillation == "none":
        for name in (*names, *choices):
            if values[name].present:
                raise ValueError(f"--{name} needs --distillation=serial or --distillation=parallel.")
        return None
    settings = {name: values[name].value for name in names}
    settings["losses"] = comma_list(values.distillation_losses)
    if values.loss_preset:
        preset = LOSS_PRESETS[values.loss_preset]
        for name in preset:
            flag = "distillation_losses" if name == "losses" else name
            if flag in values and values[flag].present:
                raise ValueError(f"--loss_preset={values.loss_preset} sets --{flag}: give one of the two.")
        settings.update(preset)
    if values.match == "intermediate" and "int" not in settings["losses"]:
        settings["losses"] = (*settings["losses"], "int")
    return DistillationConfig(
        scheme=values.distillation, intermediate_alignment=values.intermediate, **settings
    )
