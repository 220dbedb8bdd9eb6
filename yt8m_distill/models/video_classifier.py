"""`VideoClassifier`: frame selection, input, encoder and classifier of one model, teacher or student alike."""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.models.batch_preparation import BatchPreparation
from yt8m_distill.models.frame_input import l2_normalize
from yt8m_distill.models.label_losses import cross_entropy_loss
from yt8m_distill.models.low_resolution import LowResolution
from yt8m_distill.models.mixup import Mix
from yt8m_distill.models.nonfinite_steps import NonfiniteSteps
from yt8m_distill.models.prediction_function import prediction_function
from yt8m_distill.models.training_step import (
    batch_metrics,
    global_num_examples,
    regularization_loss,
    scaled,
    sum_over_slices,
    supervised_losses,
    update,
)
from yt8m_distill.stack import keras


class VideoClassifier(keras.Model):
    """Classifies videos from all of their frames or from the few that its frame budget allows.

    A see-it-all teacher and a see-very-little student are both this class, with different frame budgets. Use
    `create_model` to make one by name.

    Args:
      encoder: layer from frames to an encoding (see `yt8m_distill.models.encoders`).
      classifier: layer from an encoding to class probabilities.
      frame_input: layer from raw frames to the encoder's input (see `FrameInput`); None for a video-level model.
      max_frames: frames of the longest video; frames past it are ignored. None for a video-level model.
      sampler: frame budget; None reads all frames.
      dropout_rate: share of the encoding's values dropped in training before the classifier.
      low_resolution: what lowers the resolution of frames before `frame_input`; None for nothing.

    Input, a dict with one of these pairs:
      frames: [B, T, D] uint8 as in the records (or float, already dequantised), with num_frames: int [B]. The model
        picks the frames it reads. Rows past num_frames are ignored. With frame_seeds int64 [B] it jitters them
        by these seeds, in training or not.
      sampled_frames: [B, k, D], with num_sampled_frames: int [B]. The pipeline picked them.
      features: float [B, D] mean features; video-level models only.

    Output:
      `encoding` float32 [B, E] and `predictions` float32 [B, num_classes] in [0, 1].
    """

    def __init__(
        self,
        encoder,
        classifier,
        frame_input=None,
        max_frames=None,
        sampler: FrameSampler | None = None,
        dropout_rate=0.0,
        low_resolution: LowResolution | None = None,
        **kwargs,
    ):
        # float32 and no autocast: mean features and dequantised frames must be normalised in full precision.
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.encoder = encoder
        self.classifier = classifier
        self.max_frames = max_frames
        self.sampler = sampler
        self.frame_input = frame_input
        self.low_resolution = low_resolution
        self.dropout = keras.layers.Dropout(dropout_rate, name="dropout")

    @property
    def is_frame_level(self) -> bool:
        return self.frame_input is not None

    @property
    def skips_padding(self) -> bool:
        """Whether the encoder computes nothing for rows past a video's last frame."""
        return getattr(self.encoder, "skips_padding", False)

    @property
    def schema(self) -> RecordSchema:
        """Layout of the records that the model reads."""
        return self.model_config.schema

    def call(self, inputs, training=None):
        outputs = self.encode_and_classify(inputs, training=training)
        return {"encoding": outputs["encoding"], "predictions": outputs["predictions"]}

    @functools.cached_property
    def predictions_of(self):
        """Graph function from inputs to predictions, float32 [B, num_classes]; traced once for all evaluations."""
        return prediction_function(lambda inputs: self(inputs, training=False)["predictions"])

    def encode_and_classify(
        self, inputs, training=None, mix: Mix | None = None, trains_classifier: bool = True
    ) -> dict:
        """As calling the model, plus what intermediate distillation matches.

        Args:
          inputs: as of calling the model.
          training: whether to drop out and to update statistics.
          mix: mixup of the batch, at its level; the encoding returned is the mixed one.
          trains_classifier: in training, False runs the classifier as in evaluation: its statistics are not updated.

        Returns:
          Also `frame_states` and `block_states` where the encoder has them, `frame_indices` int64 [B, T], the place in
          the video of each frame read (at a lower resolution in time: of the first frame of each step), and
          `num_frames` int32 [B], how many were read.
        """
        mixes_frames = mix is not None and mix.level == "frames"
        outputs = self.encode(inputs, training, mix if mixes_frames else None)
        encoding = tf.cast(outputs["encoding"], tf.float32)
        if mix is not None and not mixes_frames:
            encoding = mix(encoding)
        training = training and trains_classifier
        classified = self._classified(self.dropout(encoding, training=training), training)
        return {**outputs, "encoding": encoding, **classified}

    def classify(self, encodings):
        """What the classifier says, as in evaluation, of encodings or of states of their width.

        Args:
          encodings: float [..., E].

        Returns:
          float32 [..., num_classes].
        """
        rows = tf.cast(tf.reshape(encodings, [-1, encodings.shape[-1]]), tf.float32)
        predictions = self._classified(rows, training=False)["predictions"]
        return tf.reshape(predictions, tf.concat([tf.shape(encodings)[:-1], [predictions.shape[-1]]], axis=0))

    def _classified(self, encoding, training):
        classified = self.classifier(encoding, training=training)
        return classified if isinstance(classified, dict) else {"predictions": classified}

    def encode(self, inputs, training=None, mix: Mix | None = None) -> dict:
        """The part of `encode_and_classify` before the classifier: what it returns but for the predictions.

        Args:
          inputs, training: as there.
          mix: mixup of the frames.
        """
        if not self.is_frame_level:
            features = l2_normalize(tf.cast(inputs["features"], tf.float32))
            return self.encoder(features if mix is None else mix(features))
        frames, num_frames, frame_indices = self._frames_read(inputs, training)
        if self.low_resolution is not None:
            frame_indices = frame_indices[:, :: self.low_resolution.frame_pooling]
        return {**self.encode_frames(frames, num_frames, training, mix), "frame_indices": frame_indices}

    def encode_frames(self, frames, num_frames, training=None, mix: Mix | None = None) -> dict:
        """What the encoder makes of frames, all of which it reads: what `encode` returns but for `frame_indices`.

        Args:
          frames: [B, T, D], as the model takes them.
          num_frames: int32 [B].
          training, mix: as of `encode`.
        """
        if self.low_resolution is not None:
            frames, num_frames = self.low_resolution(frames, num_frames)
        frames = self.frame_input(frames, num_frames)
        if mix is not None:
            frames, num_frames = mix.frames(frames, num_frames)
        return {**self.encoder(frames, num_frames, training=training), "num_frames": num_frames}

    def _frames_read(self, inputs, training):
        if "sampled_frames" in inputs:
            frames, num_frames = inputs["sampled_frames"], tf.cast(inputs["num_sampled_frames"], tf.int32)
            return frames, num_frames, _every_index(frames)
        frames = inputs["frames"][:, : self.max_frames]
        num_frames = tf.minimum(tf.cast(inputs["num_frames"], tf.int32), tf.shape(frames)[1])
        if self.sampler is None:
            return frames, num_frames, _every_index(frames)
        if "frame_seeds" in inputs:
            seeds, is_drawn = inputs["frame_seeds"], True
        elif training:
            seeds, is_drawn = tf.random.uniform(tf.shape(num_frames), maxval=2**31 - 1, dtype=tf.int64), True
        else:
            seeds, is_drawn = tf.zeros_like(num_frames, tf.int64), False
        # A frozen teacher that jitters with its student still reads its whole budget.
        sampler = self.sampler if training else dataclasses.replace(self.sampler, budgets=())
        indices, num_sampled = sampler.sample(num_frames, seeds, is_drawn)
        indices.set_shape([None, sampler.num_slots])
        return tf.gather(frames, indices, batch_dims=1), tf.cast(num_sampled, tf.int32), indices

    def selection_losses(self, outputs, labels):
        """What a learned choice of frames adds to the loss of each video in training, float32 [B] or 0.

        Args:
          outputs: what `encode_and_classify` returned in training.
          labels: [B, C]; smoothed ones are rounded.
        """
        return 0.0

    def selection_metrics(self, outputs, num_examples) -> dict:
        """This replica's share of the batch's means of what a learned choice of frames reports.

        Args:
          outputs: what `selection_losses` was given, which may have added to it.
          num_examples: videos over all replicas, float32 scalar.
        """
        return {}

    def selection_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of choosing the frames of a video of so many, by layer; none where no layer does."""
        return {}

    def num_choices(self, num_frames: int) -> int:
        """How often a layer is asked, in a video of so many frames, which of them are read."""
        return 0

    @property
    def num_values_scored(self) -> int:
        """Values of each frame of the video that choosing needs; 0 where frames are chosen unseen."""
        return 0

    def compile(
        self,
        optimizer,
        label_loss=cross_entropy_loss,
        regularization_penalty=1.0,
        preparation=BatchPreparation(),  # noqa: B008 - immutable
        **kwargs,
    ):
        """Prepares training on labels.

        Args:
          optimizer: Keras optimizer.
          label_loss: function (labels, predictions, label_weights) -> float32 [B], as in `LABEL_LOSSES`.
          regularization_penalty: weight of the summed L2 penalties.
          preparation: gradient accumulation, mixup and label smoothing.
          **kwargs: `jit_compile`, `run_eagerly` and the like of `keras.Model.compile`.
        """
        super().compile(optimizer=optimizer, **kwargs)
        self.label_loss = label_loss
        self.regularization_penalty = regularization_penalty
        self.preparation = preparation
        self.nonfinite_steps = NonfiniteSteps()

    def train_step(self, data):
        """One update on (inputs, labels bool [B, C]) or (inputs, labels, label_weights float32 [B, C]).

        Returns:
          Dict of scalars that add up over replicas: `loss` (mean label loss, with what the classifier and a learned
          choice of frames add to it), `reg_loss`, at every tenth step the batch's `hit_at_one`, `perr` and `gap`, and
          of a learned choice of frames its `selection_metrics`.
        """
        step, variables = self.optimizer.iterations, self.trainable_variables
        num_examples = global_num_examples(data[1])

        def gradients_and_logs(examples):
            with tf.GradientTape() as tape:
                outputs = self.encode_and_classify(examples.inputs, training=True, mix=examples.mix)
                losses = supervised_losses(self, self.label_loss, examples.targets, outputs, examples.target_weights)
                label_loss = tf.reduce_sum(losses) / num_examples
                penalty = self.regularization_penalty * regularization_loss(self, self.preparation.num_slices)
                loss = scaled(self.optimizer, label_loss + penalty)
            metrics = batch_metrics(step, examples.labels, outputs["predictions"], num_examples, examples.label_weights)
            metrics.update(self.selection_metrics(outputs, num_examples))
            return tape.gradient(loss, variables), {"loss": label_loss, "reg_loss": penalty, **metrics}

        gradients, logs = sum_over_slices(gradients_and_logs, self.preparation.slices(data, step))
        update(self.optimizer, gradients, variables, logs["loss"], self.nonfinite_steps)
        return logs


def _every_index(frames):
    batch_size, num_slots = tf.unstack(tf.shape(frames, out_type=tf.int64)[:2])
    return tf.tile(tf.range(num_slots)[None], [batch_size, 1])  # [B, T]
