"""train.py's flags of the training: length, loss, optimizer, regularisation."""

from __future__ import annotations

import dataclasses

from absl import flags


def define_training_flags(groups):
    _define_optimization_flags(groups)
    _define_regularisation_flags(groups)


def training_config_from(values, distillation):
    """The `TrainingConfig` of the flags, each of whose fields is a flag, and of a `DistillationConfig` or None."""
    from yt8m_distill.training import TrainingConfig

    if values.learning_rate_schedule != "exponential":
        for name in ("learning_rate_decay", "learning_rate_decay_examples"):
            if values[name].present:
                raise ValueError(f"--{name} needs --learning_rate_schedule=exponential.")
    names = [field.name for field in dataclasses.fields(TrainingConfig) if field.name != "distillation"]
    return TrainingConfig(**{name: values[name].value for name in names}, distillation=distillation)


def _define_optimization_flags(groups):
    group = "Training"
    groups.add(group, flags.DEFINE_string, "train_dir", "/tmp/yt8m_model/", "Where checkpoints and events go.")
    groups.add(group, flags.DEFINE_boolean, "start_new_model", False, "Delete what --train_dir holds and start over.")
    groups.add(
        group,
        flags.DEFINE_string,
        "initial_train_dir",
        "",
        "Start from the weights of the model in this train_dir, which must be of the same network. It may read other "
        "frames.",
    )
    groups.add(group, flags.DEFINE_integer, "batch_size", 1024, "Examples of each replica in one batch.")
    groups.add(
        group,
        flags.DEFINE_integer,
        "gradient_accumulation_steps",
        1,
        "Sum the gradients of so many batches for each update: as --batch_size times as large, in the memory of one "
        "(but batch normalisation sees each batch alone). A step, a checkpoint and the log count updates.",
    )
    groups.add(group, flags.DEFINE_integer, "num_epochs", 5, "Passes over the data.")
    groups.add(group, flags.DEFINE_integer, "max_steps", None, "Stop at this step.")
    groups.add(
        group,
        flags.DEFINE_string,
        "label_loss",
        "CrossEntropyLoss",
        "CrossEntropyLoss, HingeLoss, SoftmaxLoss or FocalLoss.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "optimizer",
        "AdamOptimizer",
        "Name of an optimizer in Keras or tensorflow-addons.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "learning_rate_schedule",
        "exponential",
        ["exponential", "cosine"],
        "exponential: the original's decay in stairs. cosine: to 0 at --max_steps or at the end of the last epoch, by "
        "an estimate of the number of records; a fine-tuning has a cosine of its own.",
    )
    groups.add(group, flags.DEFINE_float, "base_learning_rate", 0.01, "Learning rate of the first step.")
    groups.add(group, flags.DEFINE_float, "learning_rate_decay", 0.95, "exponential: factor of each decay.")
    groups.add(
        group, flags.DEFINE_float, "learning_rate_decay_examples", 4000000, "exponential: examples between decays."
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "warmup_steps",
        0,
        "Steps in which the learning rate rises from 0 to --base_learning_rate; the schedule begins after them.",
    )
    groups.add(
        group,
        flags.DEFINE_float,
        "clip_gradient_norm",
        1.0,
        "Clip each variable's gradient to this norm; 0: never.",
    )
    groups.add(
        group,
        flags.DEFINE_boolean,
        "skip_nonfinite",
        False,
        "Leave out steps whose loss or gradients are NaN or infinite, and count them. Without this, stop at the first.",
    )
    groups.add(group, flags.DEFINE_integer, "export_model_steps", 1000, "Steps between checkpoints.")
    groups.add(group, flags.DEFINE_integer, "keep_checkpoints", 5, "Latest checkpoints kept.")
    groups.add(group, flags.DEFINE_integer, "seed", 0, "Seed of weights, data order and dropout.")


def _define_regularisation_flags(groups):
    group = "Regularisation and averaging"
    groups.add(group, flags.DEFINE_float, "regularization_penalty", 1.0, "Weight of the L2 penalties.")
    groups.add(
        group,
        flags.DEFINE_float,
        "weight_decay",
        None,
        "Decoupled weight decay, of all but biases and normalisations, for LAMB and the optimizers of Keras. The "
        "default is the optimizer's own: 0.004 for AdamW, 0 for the others.",
    )
    groups.add(group, flags.DEFINE_float, "label_smoothing", 0.0, "s: in training, labels y become y (1 - s) + s / 2.")
    groups.add(
        group,
        flags.DEFINE_float,
        "mixup_alpha",
        0.0,
        "Train on weighted means of two examples and of their labels; the weight is drawn from Beta(alpha, alpha). "
        "0: off.",
    )
    groups.add(
        group,
        flags.DEFINE_enum,
        "mixup_level",
        "encoding",
        ["encoding", "frames"],
        "Mix encodings before the classifier, or frames (mean features) before the encoder.",
    )
    groups.add(
        group,
        flags.DEFINE_float,
        "ema_decay",
        0.0,
        "Evaluate, save and export an exponential moving average of the weights, such as 0.999. 0: the weights "
        "themselves. Early on the decay is lower: (1 + n) / (10 + n) after n steps.",
    )
    groups.add(
        group,
        flags.DEFINE_integer,
        "curriculum_frames",
        0,
        "Read so many frames in the first pass and fewer from pass to pass, down to --num_sampled_frames. 0: off.",
    )
    groups.add(group, flags.DEFINE_integer, "curriculum_epochs", 0, "Passes until --num_sampled_frames is reached.")
