"""train.py's flags of the model: its name, its hyperparameters, its frame budget."""

from __future__ import annotations

import io
import tokenize

from absl import flags

from yt8m_distill.cli.common_flags import comma_list, integer_list

_OF_ALL_MODELS = "Classifier"
_RESOLUTION = "Lower resolution, of models on frames"
_SKIP_FRAME = "Frame budget: --frame_sampling=skip_frame"
_SALIENCY = "Frame budget: --frame_sampling=saliency"

# (group, flag, how absl defines it, default, help). A default of None is the model's own.
_HYPERPARAMETER_FLAGS = (
    (
        _OF_ALL_MODELS,
        "video_level_classifier_model",
        flags.DEFINE_string,
        None,
        "Classifier on the encoding: LogisticModel or MoeModel. The default depends on --model.",
    ),
    (_OF_ALL_MODELS, "moe_num_mixtures", flags.DEFINE_integer, 2, "Experts a class, without the dummy expert."),
    (
        _OF_ALL_MODELS,
        "moe_l2",
        flags.DEFINE_float,
        None,
        "L2 penalty of MoeModel's weights: 1e-8, and 1e-6 with NetVLADModelLF.",
    ),
    (
        _OF_ALL_MODELS,
        "moe_prob_gating",
        flags.DEFINE_boolean,
        None,
        "Context gating of MoeModel's probabilities: on with NetVLADModelLF, off otherwise.",
    ),
    (_OF_ALL_MODELS, "dropout_rate", flags.DEFINE_float, 0.0, "Dropout before the classifier."),
    (
        _OF_ALL_MODELS,
        "prior_probability",
        flags.DEFINE_float,
        0.0,
        "What each class is predicted with before training, such as 0.01: saves short runs the steps that teach that "
        "classes are rare. 0 is the original's 1/2, or 1/3 of a MoeModel.",
    ),
    ("LstmModel, HierarchicalLstmModel", "lstm_cells", flags.DEFINE_integer, 1024, "Units of each LSTM layer."),
    ("LstmModel, HierarchicalLstmModel", "lstm_layers", flags.DEFINE_integer, 2, "LSTM layers (of each level)."),
    (
        "HierarchicalLstmModel",
        "num_blocks",
        flags.DEFINE_integer,
        None,
        "Blocks that the frames are split into. By default 20, or 5 with a frame budget, or the next smaller number "
        "that divides the frames.",
    ),
    ("HierarchicalLstmModel", "block_length", flags.DEFINE_integer, None, "Frames a block, instead."),
    (
        "HierarchicalLstmModel",
        "lstm_state",
        flags.DEFINE_string,
        "all",
        "Encode as 'all' cell and hidden states, or 'hidden' states only.",
    ),
    ("GruModel", "gru_cells", flags.DEFINE_integer, 1024, "Units of each GRU layer."),
    ("GruModel", "gru_layers", flags.DEFINE_integer, 2, "GRU layers."),
    ("LstmModel, GruModel", "bidirectional", flags.DEFINE_boolean, False, "Read the frames in both directions."),
    (
        "DbofModel",
        "iterations",
        flags.DEFINE_integer,
        30,
        "Frames used of a longer sequence: drawn in training, spread evenly otherwise.",
    ),
    (
        "DbofModel",
        "sample_random_frames",
        flags.DEFINE_boolean,
        True,
        "In training draw single frames; otherwise a run of consecutive frames.",
    ),
    ("DbofModel", "dbof_cluster_size", flags.DEFINE_integer, 8192, "Width of each frame's projection."),
    ("DbofModel", "dbof_hidden_size", flags.DEFINE_integer, 1024, "Width of the encoding."),
    ("DbofModel", "dbof_pooling_method", flags.DEFINE_string, "max", "Pooling over frames: max or average."),
    ("DbofModel", "dbof_activation", flags.DEFINE_string, "sigmoid", "Activation: sigmoid or relu6."),
    ("DbofModel", "dbof_add_batch_norm", flags.DEFINE_boolean, True, "Batch normalisation instead of biases."),
    (
        "NetVLADModelLF",
        "netvlad_cluster_size",
        flags.DEFINE_integer,
        256,
        "Clusters of the first feature; the others have half as many.",
    ),
    ("NetVLADModelLF", "netvlad_hidden_size", flags.DEFINE_integer, 1024, "Width of the encoding."),
    ("NetVLADModelLF", "netvlad_add_batch_norm", flags.DEFINE_boolean, True, "Batch normalisation instead of biases."),
    ("NetVLADModelLF", "netvlad_relu", flags.DEFINE_boolean, False, "Normalise the hidden layer, then ReLU6."),
    ("NetVLADModelLF", "lightvlad", flags.DEFINE_boolean, False, "NetRVLAD: no anchors."),
    ("NetVLADModelLF", "softdbow", flags.DEFINE_boolean, False, "Soft bag of words: the assignments alone."),
    ("NetVLADModelLF", "gating", flags.DEFINE_boolean, True, "Context gating of the hidden layer."),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "nextvlad_cluster_size",
        flags.DEFINE_integer,
        None,
        "Clusters of the first feature: 128, and 112 of the mixture; the other features have half as many.",
    ),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "nextvlad_hidden_size",
        flags.DEFINE_integer,
        2048,
        "Width of the encoding (of each branch).",
    ),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "groups",
        flags.DEFINE_integer,
        8,
        "Groups that a frame of the first feature is split into; the others have half as many.",
    ),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "expansion",
        flags.DEFINE_integer,
        2,
        "How many times wider frames are made before they are split.",
    ),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "gating_reduction",
        flags.DEFINE_integer,
        None,
        "How many times narrower the inner layer of the gating is: 8, and 16 of the mixture.",
    ),
    (
        "NeXtVLADModel, MixtureNeXtVLADModel",
        "drop_rate",
        flags.DEFINE_float,
        0.5,
        "Dropout of the pooled values.",
    ),
    ("MixtureNeXtVLADModel", "mix_number", flags.DEFINE_integer, 3, "Branches."),
    (
        "MixtureNeXtVLADModel",
        "cl_temperature",
        flags.DEFINE_float,
        3.0,
        "Temperature of what the branches learn from their mixture.",
    ),
    ("MixtureNeXtVLADModel", "cl_lambda", flags.DEFINE_float, 9.0, "Weight of what they learn from it."),
    ("AttentionPoolingModel", "attention_hidden_size", flags.DEFINE_integer, 512, "Width of the encoding."),
    ("AttentionPoolingModel", "attention_layers", flags.DEFINE_integer, 2, "Transformer layers."),
    ("AttentionPoolingModel", "attention_heads", flags.DEFINE_integer, 8, "Heads of each layer."),
    ("AttentionPoolingModel", "attention_dropout", flags.DEFINE_float, 0.1, "Dropout of each layer's outputs."),
    (_RESOLUTION, "frame_pooling", flags.DEFINE_integer, 1, "See the averages of so many frames each, not the frames."),
    (
        _RESOLUTION,
        "leading_values",
        flags.DEFINE_string,
        "",
        "See the first values of a feature only, such as rgb:256: its principal components of largest variance.",
    ),
    (_RESOLUTION, "bit_depth", flags.DEFINE_integer, 8, "See so many bits of each value, of the 8 in the records."),
    (_SKIP_FRAME, "skip_min", flags.DEFINE_integer, 5, "The shortest skip, in frames."),
    (_SKIP_FRAME, "skip_max", flags.DEFINE_integer, 25, "Skips are shorter than this."),
    (_SKIP_FRAME, "skip_step", flags.DEFINE_integer, 1, "From skip to skip: 2 for every other one."),
    (
        _SKIP_FRAME,
        "skip_end",
        flags.DEFINE_string,
        "stop",
        "A skip past the last frame ends the video ('stop') or reads the last frame ('clamp').",
    ),
    (
        _SKIP_FRAME,
        "skip_reward",
        flags.DEFINE_string,
        "gap",
        "What teaches the policy: 'immediate', the fall of the cross-entropy from frame to frame; 'delayed', the "
        "cross-entropy after the last one; 'gap', the video's own average precision.",
    ),
    (
        _SKIP_FRAME,
        "skip_baseline",
        flags.DEFINE_string,
        "value",
        "What rewards are compared with: 'batch', those of other videos; 'value', these and the video's state; 'none'.",
    ),
    (_SKIP_FRAME, "skip_entropy", flags.DEFINE_float, 0.01, "Weight of its entropy, which keeps it exploring."),
    (_SKIP_FRAME, "skip_epsilon", flags.DEFINE_float, 0.0, "Probability in training of a skip drawn from all alike."),
    (_SKIP_FRAME, "policy_backprop", flags.DEFINE_boolean, False, "Let the policy train the recurrent layers, too."),
    (
        _SALIENCY,
        "saliency_inputs",
        flags.DEFINE_string,
        "rgb:64",
        "What the scorer sees of a frame: the first values of a feature (rgb:64), a whole one (audio), or several "
        "(rgb:64,audio).",
    ),
    (
        _SALIENCY,
        "saliency_objective",
        flags.DEFINE_string,
        "sal_rank",
        "What teaches it: 'ac', to classify; 'sal_cl', to find the best windows; 'sal_rank', to order the windows.",
    ),
    (
        _SALIENCY,
        "saliency_union_inputs",
        flags.DEFINE_string,
        "",
        "What a second scorer sees, which fills the list of frames after the first one.",
    ),
    (_SALIENCY, "saliency_union_objective", flags.DEFINE_string, "sal_rank", "What teaches the second one."),
    (
        _SALIENCY,
        "saliency_union_size",
        flags.DEFINE_integer,
        None,
        "Frames that the first of two scorers chooses: four of five by default.",
    ),
    (_SALIENCY, "saliency_hidden_size", flags.DEFINE_integer, 64, "Hidden units of a scorer."),
    (
        _SALIENCY,
        "saliency_window",
        flags.DEFINE_integer,
        5,
        "Frames that the network sees at once when it is asked, in training, what they are worth.",
    ),
)


def define_model_flags(groups):
    groups.add(
        "Model",
        flags.DEFINE_string,
        "model",
        "LogisticModel",
        "On mean features: LogisticModel or MoeModel. On frames: FrameLevelLogisticModel, DbofModel, LstmModel, "
        "GruModel, HierarchicalLstmModel, NetVLADModelLF, NeXtVLADModel, MixtureNeXtVLADModel, AttentionPoolingModel.",
    )
    define_hyperparameter_flags(groups, lambda group: group == _OF_ALL_MODELS)
    group = "Frame budget"
    groups.add(
        group,
        flags.DEFINE_string,
        "frame_sampling",
        None,
        "Which frames: uniform, stride (the authors' every_n), random, first, middle, last, first_middle_last, or "
        "what the model learns to choose: skip_frame, saliency. The default is stride with --every_n and uniform "
        "otherwise.",
    )
    groups.add(group, flags.DEFINE_integer, "num_sampled_frames", None, "Read k frames of a video.")
    groups.add(group, flags.DEFINE_float, "frame_percent", None, "Read so many percent of the frames.")
    groups.add(group, flags.DEFINE_integer, "every_n", None, "Read every n-th frame.")
    groups.add(
        group,
        flags.DEFINE_boolean,
        "frame_jitter",
        False,
        "In training, draw each frame of a uniform budget from its share of the video. Evaluation stays as it is.",
    )
    groups.add(
        group,
        flags.DEFINE_string,
        "frame_budgets",
        "",
        "Train one model for several numbers of frames, such as 6,10,30: each video is read at one of them. The last "
        "is --num_sampled_frames; eval.py, inference.py and export_model.py choose by theirs.",
    )


def define_architecture_flags(groups):
    """Flags of single models, which `--help` shows last."""
    define_hyperparameter_flags(groups, lambda group: group != _OF_ALL_MODELS)
    groups.add(
        "NeXtVLADModel, MixtureNeXtVLADModel",
        flags.DEFINE_string,
        "eigenvalues_file",
        None,
        "The dataset's eigenvals.npy (or a text file of numbers), to undo the whitening of rgb.",
    )


def define_hyperparameter_flags(groups, is_wanted=lambda group: True):
    """Flags of the hyperparameters, of the groups wanted."""
    for group, name, define, default, text in _HYPERPARAMETER_FLAGS:
        if is_wanted(group):
            groups.add(group, define, name, default, text)


def given_hyperparameters(values) -> dict:
    """The hyperparameters on the command line, without defaults: one that the model does not have is then an error."""
    names = [name for _, name, *_ in _HYPERPARAMETER_FLAGS]
    return {name: values[name].value for name in names if values[name].present}


def model_config_from(values):
    """The `ModelConfig` that the flags ask for."""
    from yt8m_distill.models import ModelConfig

    hyperparameters = given_hyperparameters(values)
    if values.eigenvalues_file:
        hyperparameters["eigenvalues"] = _read_eigenvalues(values.eigenvalues_file)
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
        frame_jitter=values.frame_jitter,
        frame_budgets=integer_list("frame_budgets", values.frame_budgets) if values.frame_budgets else (),
        hyperparameters=hyperparameters,
    )
    if config.hyperparameters["video_level_classifier_model"] != "MoeModel":
        for name in hyperparameters:
            if name.startswith("moe_"):
                raise ValueError(f"--{name} needs --video_level_classifier_model=MoeModel with {config.model}.")
    if config.frame_level and not values.frame_features:
        raise ValueError(f"{config.model} reads frames: add --frame_features.")
    if values.frame_features and not config.frame_level:
        raise ValueError(
            f"{config.model} reads mean features: leave out --frame_features, or choose a frame-level model."
        )
    return config


def _read_eigenvalues(path):
    import numpy as np
    import tensorflow as tf

    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        if not path.endswith(".npy"):
            return [float(word) for word in content.split()]
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
        if values.dtype.kind not in "fiu":
            raise ValueError(f"its values are {values.dtype}")
    # A damaged header may be no Python, or name a size beyond all memory.
    except (ValueError, tokenize.TokenError, MemoryError) as error:
        raise ValueError(f"--eigenvalues_file={path}: holds no list of numbers ({error}).") from error
    return np.ravel(values).tolist()
