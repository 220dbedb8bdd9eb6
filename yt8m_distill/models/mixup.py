"""Mixup: training on weighted means of two examples and of their labels.

Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (arXiv:1710.09412); mixing encodings, Verma et al.,
"Manifold Mixup" (arXiv:1806.05236).
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

MIXUP_LEVELS = ("encoding", "frames")
_MAX_PLACES = 2**20


@dataclasses.dataclass(frozen=True)
class Mix:
    """One draw of mixup for a batch: example i becomes shares[i] * example i + (1 - shares[i]) * example partners[i].

    Attributes:
      level: what is mixed, `encoding` (that enters the classifier) or `frames` (that enter the encoder; the mean
        features of a video-level model).
      shares: float32 [B], in [0.5, 1].
      partners: int32 [B], a permutation of the batch.
    """

    level: str
    shares: tf.Tensor
    partners: tf.Tensor

    def __call__(self, values):
        """Mixes float values [B, ...]."""
        shares = tf.reshape(self.shares, [-1] + [1] * (len(values.shape) - 1))
        return shares * values + (1 - shares) * tf.gather(values, self.partners)

    def frames(self, frames, num_frames):
        """Mixes frames [B, T, D], 0 past their num_frames [B]: the longer video goes on alone, at its share.

        How to mix videos of different length is our choice. In a distillation the teacher mixes frame t of both videos
        and the student slot i of both: in videos of different length these are different moments.
        """
        return self(frames), tf.maximum(num_frames, tf.gather(num_frames, self.partners))

    def labels(self, labels, label_weights=None):
        """Mixes labels [B, C] and, where there are any, their weights [B, C]; float32 both.

        A class that only one of the two examples was rated for keeps that one's label, at its share of the weight.
        """
        labels = tf.cast(labels, tf.float32)
        if label_weights is None:
            return self(labels), None
        weights = self(label_weights)
        return tf.math.divide_no_nan(self(label_weights * labels), weights), weights


@dataclasses.dataclass(frozen=True)
class Mixup:
    """Draws a `Mix` for each batch: lambda ~ Beta(alpha, alpha) for each example, and a random permutation.

    The share of the example itself is max(lambda, 1 - lambda), so that it dominates.

    Attributes:
      alpha: above 0; the larger, the nearer to halves the shares are.
      level: one of `MIXUP_LEVELS`.
      seed: of the run. A draw depends on the seed, the step and the place of the batch in the step alone, so that a
        run that resumes goes on as it would have.
    """

    alpha: float
    level: str = "encoding"
    seed: int = 0

    def draw(self, batch_size, step, place=0) -> Mix:
        """Draws for a batch.

        Args:
          batch_size: B, may be 0.
          step: number of updates so far, integer scalar.
          place: number of this batch among those of the step (replicas, slices).
        """
        number = tf.cast(step, tf.int64) * _MAX_PLACES + tf.cast(place, tf.int64)
        seed = tf.stack([tf.constant(self.seed, tf.int64), number])
        first, second, order = tf.unstack(tf.random.stateless_uniform([3, batch_size], seed))
        return Mix(self.level, _dominant_beta(self.alpha, first, second), tf.argsort(order))


def _dominant_beta(alpha, first, second):
    """max(lambda, 1 - lambda) of lambda ~ Beta(alpha, alpha), from uniform random numbers in [0, 1).

    With Student's t of 2 alpha degrees of freedom, lambda = 1/2 + t / (2 sqrt(2 alpha + t^2)); and
    t = sqrt(2 alpha (u^(-1/alpha) - 1)) cos(2 pi v), by Bailey's polar method (Mathematics of Computation 62, 1994).
    TensorFlow's own gamma and beta draws cannot be compiled by XLA.
    """
    squared = tf.math.expm1(-tf.math.log(first) / alpha) * tf.square(tf.cos(2 * math.pi * second))
    return 0.5 + 0.5 * tf.math.rsqrt(1 + 1 / squared)
