"""The models by name: which encoder, which classifier, which hyperparameters."""

from __future__ import annotations

import dataclasses
from typing import Callable

import tensorflow as tf

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.models.classifiers import Logistic, MixtureOfExperts
from yt8m_distill.models.encoders.frame_average import FrameAverage
from yt8m_distill.models.encoders.hierarchical_lstm import LSTM_STATES, HierarchicalLstm
from yt8m_distill.models.encoders.lstm import Lstm
from yt8m_distill.models.encoders.mean_features import MeanFeatures
from yt8m_distill.models.video_classifier import VideoClassifier

TEACHER_BLOCKS = 20
STUDENT_BLOCKS = 5

CLASSIFIERS = ("LogisticModel", "MoeModel")


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One entry of the zoo.

    Attributes:
      frame_level: whether the model reads frames or mean features.
      build_encoder: function (hyperparameters, num_slots, is_student) -> encoder layer.
      classifier: name of the default classifier.
      hyperparameters: the encoder's hyperparameters with their defaults.
    """

    frame_level: bool
    build_encoder: Callable
    classifier: str
    hyperparameters: dict = dataclasses.field(default_factory=dict)


# Hyperparameters of every model; the default of video_level_classifier_model is the model's own.
COMMON_HYPERPARAMETERS = {"video_level_classifier_model": None, "moe_num_mixtures": 2, "dropout_rate": 0.0}

_LSTM = {"lstm_cells": 1024, "lstm_layers": 2}


def _build_lstm(hyperparameters, num_slots, is_student):
    return Lstm(hyperparameters["lstm_cells"], hyperparameters["lstm_layers"], name="encoder")


def _build_hierarchical_lstm(hyperparameters, num_slots, is_student):
    block_length = hyperparameters["block_length"]
    if block_length is None:
        num_blocks = hyperparameters["num_blocks"] or default_num_blocks(num_slots, is_student)
        block_length = -(-num_slots // num_blocks)
    return HierarchicalLstm(
        block_length,
        hyperparameters["lstm_cells"],
        hyperparameters["lstm_layers"],
        hyperparameters["lstm_state"],
        name="encoder",
    )


def default_num_blocks(num_slots: int, is_student: bool) -> int:
    """The authors' 20 blocks for a teacher and 5 for a student, or the largest smaller number that divides the frames.

    Blocks of one frame would leave the lower level nothing to recur over, so they have two at least. The authors'
    student cannot be built for k=6, which the paper reports: 3 blocks of 2 frames is our choice.
    """
    highest = max(1, min(num_slots // 2, STUDENT_BLOCKS if is_student else TEACHER_BLOCKS))
    return max(number for number in range(1, highest + 1) if num_slots % number == 0)


ZOO = {
    "LogisticModel": ModelSpec(False, lambda *_: MeanFeatures(name="encoder"), "LogisticModel"),
    "MoeModel": ModelSpec(False, lambda *_: MeanFeatures(name="encoder"), "MoeModel"),
    "FrameLevelLogisticModel": ModelSpec(True, lambda *_: FrameAverage(name="encoder"), "LogisticModel"),
    "LstmModel": ModelSpec(True, _build_lstm, "MoeModel", _LSTM),
    "HierarchicalLstmModel": ModelSpec(
        True,
        _build_hierarchical_lstm,
        "MoeModel",
        {**_LSTM, "num_blocks": None, "block_length": None, "lstm_state": "all"},
    ),
}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything needed to rebuild a model, without its weights; what `model_flags.json` records.

    Attributes:
      model: name in the zoo.
      feature_names, feature_sizes, num_classes, max_frames: see `RecordSchema`.
      frame_sampling, num_sampled_frames, frame_percent, every_n: the frame budget (see `FrameSampler`); no budget
        reads all frames. Without a method, `every_n` means `stride` and the other budgets `uniform`.
      hyperparameters: those of the model, defaults filled in.

    Raises:
      ValueError: unknown model or hyperparameter, a value out of range, or a frame budget for a video-level model.
    """

    model: str
    feature_names: tuple[str, ...]
    feature_sizes: tuple[int, ...]
    num_classes: int = 3862
    max_frames: int = 300
    frame_sampling: str | None = None
    num_sampled_frames: int | None = None
    frame_percent: float | None = None
    every_n: int | None = None
    hyperparameters: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.model not in ZOO:
            raise ValueError(f"Unknown model {self.model!r}. The models are: {', '.join(ZOO)}.")
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        object.__setattr__(self, "feature_sizes", tuple(self.feature_sizes))
        known = {**COMMON_HYPERPARAMETERS, **ZOO[self.model].hyperparameters}
        unknown = sorted(set(self.hyperparameters) - set(known))
        if unknown:
            raise ValueError(
                f"{self.model} has no hyperparameter {unknown[0]!r}. It has: {', '.join(sorted(known))}."
            )
        hyperparameters = {**known, **self.hyperparameters}
        if hyperparameters["video_level_classifier_model"] is None:
            hyperparameters["video_level_classifier_model"] = ZOO[self.model].classifier
        _check_hyperparameters(hyperparameters)
        object.__setattr__(self, "hyperparameters", hyperparameters)
        _check_whole_number("num_classes", self.num_classes)
        _check_whole_number("max_frames", self.max_frames)
        if self.sampler and not self.frame_level:
            raise ValueError(
                f"{self.model} reads mean features and cannot have a frame budget. Leave it out."
            )
        if self.sampler is None and self.frame_sampling is not None:
            raise ValueError(
                f"frame_sampling={self.frame_sampling!r} needs a budget: num_sampled_frames, frame_percent or every_n."
            )
        self.schema  # noqa: B018 - validates the features

    @property
    def frame_level(self) -> bool:
        return ZOO[self.model].frame_level

    @property
    def schema(self) -> RecordSchema:
        """Layout of the records that the model reads."""
        return RecordSchema(
            self.feature_names, self.feature_sizes, self.frame_level, self.num_classes, self.max_frames
        )

    @property
    def sampler(self) -> FrameSampler | None:
        """The frame budget, or None to read all frames."""
        if self.num_sampled_frames is None and self.frame_percent is None and self.every_n is None:
            return None
        method = self.frame_sampling or ("stride" if self.every_n is not None else "uniform")
        return FrameSampler(
            method, self.num_sampled_frames, self.frame_percent, self.every_n, self.max_frames
        )

    @property
    def num_slots(self) -> int:
        """Frames that the model reads of the longest video; 1 for a video-level model."""
        if not self.frame_level:
            return 1
        return self.sampler.num_slots if self.sampler else self.max_frames

    def build(self, classifier=None) -> VideoClassifier:
        """Builds the model with fresh weights.

        Args:
          classifier: layer to use for the classifier, for models that share one.
        """
        spec, hyperparameters = ZOO[self.model], self.hyperparameters
        model = VideoClassifier(
            encoder=spec.build_encoder(hyperparameters, self.num_slots, self.sampler is not None),
            classifier=classifier or _build_classifier(hyperparameters, self.num_classes),
            max_frames=self.max_frames if self.frame_level else None,
            sampler=self.sampler,
            dropout_rate=hyperparameters["dropout_rate"],
            name=self.model,
        )
        model(self.example_inputs())
        model.model_config = self
        return model

    def example_inputs(self, batch_size: int = 1) -> dict:
        """Zero inputs of the shape that the pipeline gives this model."""
        width = self.schema.feature_width
        if not self.frame_level:
            return {"features": tf.zeros([batch_size, width])}
        frames = tf.zeros([batch_size, self.num_slots, width], tf.uint8)
        num_frames = tf.ones([batch_size], tf.int32)
        if self.sampler is None:
            return {"frames": frames, "num_frames": num_frames}
        return {"sampled_frames": frames, "num_sampled_frames": num_frames}

    def whole_video_inputs(self, batch_size: int = 1) -> dict:
        """Zero inputs with all frames of a video, as both models of a distillation see it."""
        width = self.schema.feature_width
        if not self.frame_level:
            return self.example_inputs(batch_size)
        frames = tf.zeros([batch_size, self.max_frames, width], tf.uint8)
        return {"frames": frames, "num_frames": tf.ones([batch_size], tf.int32)}


def create_model(model: str, feature_names, feature_sizes, **config_and_hyperparameters) -> VideoClassifier:
    """Creates a model by name, with fresh weights.

    Args:
      model: name in the zoo, e.g. "HierarchicalLstmModel".
      feature_names: names of the features, e.g. `("rgb", "audio")`.
      feature_sizes: width of each, e.g. `(1024, 128)`.
      **config_and_hyperparameters: other fields of `ModelConfig` (`num_classes`, `max_frames`, the frame budget) and
        the model's hyperparameters, e.g. `lstm_cells=512`.

    Returns:
      A `VideoClassifier`, built.

    Raises:
      ValueError: as `ModelConfig`.

    >>> student = create_model("HierarchicalLstmModel", ("rgb", "audio"), (1024, 128),
    ...                        frame_sampling="uniform", num_sampled_frames=30)
    """
    fields = {field.name for field in dataclasses.fields(ModelConfig)} - {"hyperparameters"}
    config = {name: value for name, value in config_and_hyperparameters.items() if name in fields}
    hyperparameters = {
        name: value for name, value in config_and_hyperparameters.items() if name not in fields
    }
    return ModelConfig(
        model, tuple(feature_names), tuple(feature_sizes), **config, hyperparameters=hyperparameters
    ).build()


def _build_classifier(hyperparameters, num_classes):
    if hyperparameters["video_level_classifier_model"] == "LogisticModel":
        return Logistic(num_classes, name="classifier")
    return MixtureOfExperts(num_classes, hyperparameters["moe_num_mixtures"], name="classifier")


def _check_hyperparameters(hyperparameters):
    classifier = hyperparameters["video_level_classifier_model"]
    if classifier not in CLASSIFIERS:
        raise ValueError(
            f"video_level_classifier_model must be one of {', '.join(CLASSIFIERS)}. Received: {classifier!r}."
        )
    dropout_rate = hyperparameters["dropout_rate"]
    if not isinstance(dropout_rate, (int, float)) or not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must be in [0, 1). Received: {dropout_rate!r}.")
    for name in ("moe_num_mixtures", "lstm_cells", "lstm_layers", "num_blocks", "block_length"):
        if hyperparameters.get(name) is not None:
            _check_whole_number(name, hyperparameters[name])
    num_blocks, block_length = hyperparameters.get("num_blocks"), hyperparameters.get("block_length")
    if num_blocks is not None and block_length is not None:
        raise ValueError(
            "Give num_blocks or block_length, not both. "
            f"Received: num_blocks={num_blocks}, block_length={block_length}."
        )
    if hyperparameters.get("lstm_state", "all") not in LSTM_STATES:
        raise ValueError(
            f"lstm_state must be one of {', '.join(LSTM_STATES)}. Received: {hyperparameters['lstm_state']!r}."
        )


def _check_whole_number(name, value):
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1. Received: {value!r}.")
