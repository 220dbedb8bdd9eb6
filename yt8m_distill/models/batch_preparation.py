"""What training does to a batch before the model sees it: slices, mixup, smoothed labels."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from yt8m_distill.models.mixup import Mix, Mixup
from yt8m_distill.stack import keras


@dataclasses.dataclass(frozen=True)
class TrainingExamples:
    """One slice of a training batch.

    Attributes:
      inputs: of the model, not mixed yet.
      labels: bool [B, C], as the records have them; what the metrics of the training log are computed from.
      label_weights: float32 [B, C] or None, as the records have them.
      targets: what to learn, [B, C]: the labels, or float32 where they are mixed or smoothed.
      target_weights: float32 [B, C] or None.
      mix: how to mix the inputs, or None.
    """

    inputs: dict
    labels: tf.Tensor
    label_weights: tf.Tensor | None
    targets: tf.Tensor
    target_weights: tf.Tensor | None
    mix: Mix | None


@dataclasses.dataclass(frozen=True)
class BatchPreparation:
    """How a training batch is cut, mixed and smoothed; evaluation knows nothing of it.

    Attributes:
      num_slices: parts whose gradients are added up before the one update of the step (gradient accumulation).
      label_smoothing: s of y (1 - s) + s / 2, as in `keras.losses.BinaryCrossentropy`; applied to mixed labels.
      mixup: what draws the mixtures, or None. Examples are mixed within their slice.
    """

    num_slices: int = 1
    label_smoothing: float = 0.0
    mixup: Mixup | None = None

    def slices(self, data, step):
        """Yields the `TrainingExamples` of each slice; a batch of fewer examples than slices leaves some empty.

        Args:
          data: (inputs, labels bool [B, C]) or (inputs, labels, label_weights float32 [B, C]).
          step: number of updates so far, integer scalar.
        """
        for number in range(self.num_slices):
            part = data if self.num_slices == 1 else _slice_of(data, number, self.num_slices)
            yield self._prepare(*keras.utils.unpack_x_y_sample_weight(part), step, number)

    def _prepare(self, inputs, labels, label_weights, step, number):
        targets, target_weights, mix = labels, label_weights, None
        if self.mixup is not None:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            mix = self.mixup.draw(tf.shape(labels)[0], step, replica * self.num_slices + number)
            targets, target_weights = mix.labels(labels, label_weights)
        if self.label_smoothing:
            targets = tf.cast(targets, tf.float32) * (1 - self.label_smoothing) + self.label_smoothing / 2
        return TrainingExamples(inputs, labels, label_weights, targets, target_weights, mix)


def rounded(labels):
    """Labels [B, C] that may have been mixed or smoothed as 0 or 1, float32."""
    return tf.cast(tf.cast(labels, tf.float32) > 0.5, tf.float32)


def _slice_of(data, number, num_slices):
    size = tf.shape(tf.nest.flatten(data)[0])[0]
    start, stop = number * size // num_slices, (number + 1) * size // num_slices
    return tf.nest.map_structure(lambda values: values[start:stop], data)
