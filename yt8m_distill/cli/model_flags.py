"""train.py's flags of the model: its name, its hyperparameters, its frame budget."""

from __future__ import annotations

from absl import flags

from yt8m_distill.cli.common_flags import comma_list, integer_list

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

def define_model_flags(groups):
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


def model_config_from(values):
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
