"""`ModelConfig`: everything that makes a model but its weights, and `create_model`."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.models.hyperparameters import check_hyperparameters, check_whole_number
from yt8m_distill.models.leading_values import columns_of, leading_values
from yt8m_distill.models.learned_selection import LEARNED_SELECTIONS, LearnedSelection
from yt8m_distill.models.low_resolution import FULL_BITS, LowResolution
from yt8m_distill.models.video_classifier import VideoClassifier
from yt8m_distill.models.zoo import FRAME_HYPERPARAMETERS, ZOO, block_length, build_classifier

_MOST_FRAMES = 100_000  # a day of video


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything needed to rebuild a model, without its weights; what `model_flags.json` records.

    Attributes:
      model: name in the zoo.
      feature_names, feature_sizes, num_classes, max_frames: see `RecordSchema`.
      frame_sampling, num_sampled_frames, frame_percent, every_n: the frame budget (see `FrameSampler`); no budget
        reads all frames. Without a method, `every_n` means `stride` and the other budgets `uniform`. A method of
        `LEARNED_SELECTIONS` is part of the model, which then takes whole videos.
      frame_jitter: in training, draw each frame of a uniform budget from its share of the video.
      frame_budgets: in training, draw the number of frames of each video from these, the last of which is
        num_sampled_frames; the model then serves any of them (see `with_num_sampled_frames`).
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
    frame_jitter: bool = False
    frame_budgets: tuple[int, ...] = ()
    hyperparameters: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.model not in ZOO:
            raise ValueError(f"Unknown model {self.model!r}. The models are: {', '.join(ZOO)}.")
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        object.__setattr__(self, "feature_sizes", tuple(self.feature_sizes))
        object.__setattr__(self, "frame_budgets", tuple(self.frame_budgets))
        known = self.known_hyperparameters()
        unknown = sorted(set(self.hyperparameters) - set(known))
        if unknown:
            raise ValueError(f"{self.model} has no hyperparameter {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
        hyperparameters = {**known, **self.hyperparameters}
        # As model_flags.json gives them back.
        hyperparameters = {name: list(v) if isinstance(v, tuple) else v for name, v in hyperparameters.items()}
        check_hyperparameters(hyperparameters)
        object.__setattr__(self, "hyperparameters", hyperparameters)
        check_whole_number("num_classes", self.num_classes)
        check_whole_number("max_frames", self.max_frames)
        if self.max_frames > _MOST_FRAMES:
            raise ValueError(f"max_frames must be at most {_MOST_FRAMES}. Received: {self.max_frames}.")
        if self.learned_selection:
            self._check_learned_selection()
        if self.sampler and not self.frame_level:
            raise ValueError(f"{self.model} reads mean features and cannot have a frame budget. Leave it out.")
        if self.sampler is None and self.frame_sampling is not None and not self.learned_selection:
            raise ValueError(
                f"frame_sampling={self.frame_sampling!r} needs a budget: num_sampled_frames, frame_percent or every_n."
            )
        if not isinstance(self.frame_jitter, bool):
            raise ValueError(f"frame_jitter must be true or false. Received: {self.frame_jitter!r}.")
        if self.frame_jitter and self.sampler is None:
            raise ValueError(
                "frame_jitter needs a frame budget: num_sampled_frames, frame_percent or every_n. "
                "A model that reads all frames has none to choose."
            )
        if self.frame_budgets and self.sampler is None:
            raise ValueError("frame_budgets need num_sampled_frames, the largest of them.")
        self.schema  # noqa: B018 - validates the features
        self.seen_feature_sizes  # noqa: B018 - validates leading_values

    @property
    def frame_level(self) -> bool:
        return ZOO[self.model].frame_level

    @property
    def schema(self) -> RecordSchema:
        """Layout of the records that the model reads."""
        return RecordSchema(self.feature_names, self.feature_sizes, self.frame_level, self.num_classes, self.max_frames)

    @property
    def learned_selection(self) -> LearnedSelection | None:
        """How the model chooses its frames, if it does."""
        return LEARNED_SELECTIONS.get(self.frame_sampling)

    @property
    def sampler(self) -> FrameSampler | None:
        """The frame budget, or None for a model that takes all frames, to read them or to choose among them."""
        if self.learned_selection:
            return None
        if self.num_sampled_frames is None and self.frame_percent is None and self.every_n is None:
            return None
        method = self.frame_sampling or ("stride" if self.every_n is not None else "uniform")
        return FrameSampler(
            method,
            self.num_sampled_frames,
            self.frame_percent,
            self.every_n,
            self.max_frames,
            self.frame_jitter,
            self.frame_budgets,
        )

    @property
    def has_frame_budget(self) -> bool:
        """Whether the model reads some frames of a video only, chosen by a sampler or by itself."""
        return self.sampler is not None or self.learned_selection is not None

    @property
    def num_slots(self) -> int:
        """Frames that the model reads of the longest video; 1 for a video-level model."""
        if not self.frame_level:
            return 1
        if self.learned_selection:
            return self.num_sampled_frames
        return self.sampler.num_slots if self.sampler else self.max_frames

    @property
    def frame_budget(self) -> int | None:
        """k: frames that are chosen of the longest video; None of a model that reads all frames, or none."""
        return self.num_slots if self.has_frame_budget else None

    @property
    def num_steps(self) -> int:
        """Steps in time that the encoder takes for `num_slots` frames: fewer where frames are pooled."""
        return self.num_slots if not self.frame_level else -(-self.num_slots // self.hyperparameters["frame_pooling"])

    @property
    def seen_feature_sizes(self) -> tuple[int, ...]:
        """Width of each feature as the encoder gets it."""
        text = self.hyperparameters.get("leading_values")
        if not text:
            return self.feature_sizes
        kept = leading_values(text, self.feature_names, self.feature_sizes, "leading_values")
        return tuple(kept.get(name, size) for name, size in zip(self.feature_names, self.feature_sizes))

    @property
    def has_low_resolution(self) -> bool:
        """Whether the model sees less of a frame, or of a window of frames, than the records hold."""
        return self._low_resolution() is not None

    def _low_resolution(self):
        if not self.frame_level:
            return None
        pooling, bits = (self.hyperparameters[name] for name in ("frame_pooling", "bit_depth"))
        kept, columns = self.seen_feature_sizes, None
        if kept != self.feature_sizes:
            columns = columns_of(dict(zip(self.feature_names, kept)), self.feature_names, self.feature_sizes)
        if pooling == 1 and bits == FULL_BITS and columns is None:
            return None
        return LowResolution(pooling, columns, bits, name="low_resolution")

    def num_read(self, num_frames: int) -> int:
        """Frames that the model reads of a video of so many, at most; 1 for a video-level model."""
        if not self.frame_level:
            return 1
        if self.sampler is not None:
            return int(self.sampler.num_sampled(min(num_frames, self.max_frames)))
        if num_frames and self.hyperparameters.get("skip_end") == "clamp":  # reads the last frame again
            return self.num_slots
        return min(num_frames, self.num_slots)

    def with_num_sampled_frames(self, num_sampled_frames: int) -> ModelConfig:
        """The same weights on another number of frames; for a model of `frame_budgets`, one of them or any between.

        An H-RNN keeps the length of its blocks, so it reads more or fewer of them.

        Raises:
          ValueError: the number is out of range, or the model is video-level.
        """
        return dataclasses.replace(
            self,
            frame_sampling=None if self.frame_sampling == "stride" else self.frame_sampling,
            num_sampled_frames=num_sampled_frames,
            frame_percent=None,
            every_n=None,
            frame_jitter=False,
            frame_budgets=(),
            hyperparameters={**self.hyperparameters, **self._resolved_blocks()},
        )

    def reading_all_frames(self) -> ModelConfig:
        """The same model without its frame budget, at full resolution and with as many blocks as a teacher has."""
        own = set(ZOO[self.model].hyperparameters) - {"num_blocks", "block_length", *FRAME_HYPERPARAMETERS}
        hyperparameters = {name: value for name, value in self.hyperparameters.items() if name in own}
        return ModelConfig(
            self.model,
            self.feature_names,
            self.feature_sizes,
            self.num_classes,
            self.max_frames,
            hyperparameters=hyperparameters,
        )

    def known_hyperparameters(self) -> dict:
        """Those of the model and of how it chooses its frames, with their defaults."""
        of_selection = self.learned_selection.hyperparameters if self.learned_selection else {}
        return {**ZOO[self.model].hyperparameters, **of_selection}

    def _check_learned_selection(self):
        method, models = f"frame_sampling={self.frame_sampling!r}", self.learned_selection.models
        if models and (self.model not in models or self.hyperparameters.get("bidirectional")):
            raise ValueError(
                f"{method} needs a network that goes on from frame to frame: {' or '.join(models)}, not bidirectional. "
                f"Received: {self.model}."
            )
        if not self.frame_level:
            raise ValueError(f"{self.model} reads mean features and has no frames to choose. Leave out {method}.")
        if self.frame_percent is not None or self.every_n is not None or self.frame_jitter or self.frame_budgets:
            raise ValueError(
                f"{method} needs num_sampled_frames, and has no frame_percent, every_n, frame_jitter or frame_budgets."
            )
        if self.has_low_resolution:
            raise ValueError(f"{method} chooses frames of full resolution. Leave out frame_pooling and the like.")
        fewest, k = self.learned_selection.fewest_frames, self.num_sampled_frames
        most = min(self.max_frames, self.learned_selection.most_frames)
        if not isinstance(k, int) or isinstance(k, bool) or not fewest <= k <= most:
            raise ValueError(
                f"{method} needs num_sampled_frames, a whole number from {fewest} to {most}. Received: {k}."
            )

    def _resolved_blocks(self) -> dict:
        if "block_length" not in self.hyperparameters:
            return {}
        return {"num_blocks": None, "block_length": block_length(self)}

    def check_layers(self) -> None:
        """Makes the layers of frames, but no weights, to raise what `build` would: hyperparameters and features that
        do not go together.
        """
        ZOO[self.model].build_encoder(self)
        if self.learned_selection:
            self.learned_selection.model_class.selection_arguments(self)
        if self.frame_level:
            ZOO[self.model].build_frame_input(self)

    def build(self, classifier=None) -> VideoClassifier:
        """Builds the model with fresh weights; arguments and errors as of `assemble`."""
        model = self.assemble(classifier)
        model(self.example_inputs())
        return model

    def assemble(self, classifier=None) -> VideoClassifier:
        """Makes the model of layers that have no weights yet; calling it for the first time makes them.

        Args:
          classifier: layer to use for the classifier, for models that share one.

        Raises:
          ValueError: hyperparameters and features do not go together, or `classifier` is another one than the
            hyperparameters describe, so that the model could not be rebuilt from its configuration.
        """
        spec = ZOO[self.model]
        if classifier is not None:
            _check_same_classifier(classifier, build_classifier(self))
        model_class, of_selection = VideoClassifier, {}
        if self.learned_selection:
            model_class = self.learned_selection.model_class
            of_selection = model_class.selection_arguments(self)
        model = model_class(
            encoder=spec.build_encoder(self),
            classifier=classifier or build_classifier(self),
            frame_input=spec.build_frame_input(self) if self.frame_level else None,
            max_frames=self.max_frames if self.frame_level else None,
            sampler=self.sampler,
            dropout_rate=self.hyperparameters["dropout_rate"],
            low_resolution=self._low_resolution(),
            name=self.model,
            **of_selection,
        )
        model.model_config = self
        return model

    def example_inputs(self, batch_size: int = 1) -> dict:
        """Zero inputs of the shape that the pipeline gives this model."""
        width = self.schema.feature_width
        if not self.frame_level:
            return {"features": tf.zeros([batch_size, width])}
        if self.sampler is None:
            return self.whole_video_inputs(batch_size)
        frames = tf.zeros([batch_size, self.num_slots, width], tf.uint8)
        num_frames = tf.ones([batch_size], tf.int32)
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
    hyperparameters = {name: value for name, value in config_and_hyperparameters.items() if name not in fields}
    return ModelConfig(
        model, tuple(feature_names), tuple(feature_sizes), **config, hyperparameters=hyperparameters
    ).build()


def _check_same_classifier(shared, own):
    described, wanted = _description(shared), _description(own)
    if described != wanted:
        raise ValueError(
            "Models that share a classifier must describe it alike. Received: "
            f"{described} for a model whose hyperparameters describe {wanted}. Give both models the same."
        )


def _description(classifier):
    config = classifier.get_config()
    values = [f"{name}={value!r}" for name, value in config.items() if name not in ("name", "trainable", "dtype")]
    return f"{type(classifier).__name__}({', '.join(values)})"
