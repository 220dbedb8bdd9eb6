"""A small mixture of logistic experts a class."""

from __future__ import annotations

import functools

import tensorflow as tf

from yt8m_distill.models.classifiers.logistic import prior_bias, slim_l2
from yt8m_distill.models.context_gating import ContextGating
from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class MixtureOfExperts(CountsMacs, keras.layers.Layer):
    """For each class m experts vote, weighted by a softmax gate that may also choose a dummy expert voting 0.

    p_c = sum over j < m of softmax(gate_c)_j * sigmoid(expert_cj). Columns are class-major, as in the original:
    gate c (m + 1) + j, expert c m + j. At initialisation p is about m / (m + 1) * 1/2.

    With probability gating the probabilities of all classes then scale each other by context gating.

    Source: `MoeModel` of the original's video_level_models.py; `moe_prob_gating` of Willow's.

    Args:
      num_classes: number of classes.
      num_mixtures: experts a class, without the dummy (2).
      l2: weight of the penalty on both kernels, in TF-Slim's convention.
      probability_gating: scale p by sigmoid(BN(p W)).
      prior_probability: what p starts at; 0 for the original's zero bias.

    Raises:
      ValueError: a prior_probability that the experts cannot start at, because the dummy has its share.

    Input: encoding [B, E]. Output: probabilities float32 [B, num_classes].
    """

    def __init__(
        self,
        num_classes: int,
        num_mixtures: int = 2,
        l2: float = 1e-8,
        probability_gating: bool = False,
        prior_probability: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        of_experts = prior_probability * (num_mixtures + 1) / num_mixtures
        if of_experts >= 1:
            raise ValueError(
                f"prior_probability of {num_mixtures} expert(s) and a dummy must be below "
                f"{num_mixtures / (num_mixtures + 1):.2f}. Received: {prior_probability}."
            )
        self.num_classes = num_classes
        self.num_mixtures = num_mixtures
        self.l2 = l2
        self.gates = keras.layers.Dense(
            num_classes * (num_mixtures + 1), use_bias=False, kernel_regularizer=slim_l2(l2), name="gates"
        )
        self.prior_probability = prior_probability
        self.experts = keras.layers.Dense(
            num_classes * num_mixtures,
            bias_initializer=prior_bias(of_experts),
            kernel_regularizer=slim_l2(l2),
            name="experts",
        )
        # float32: probabilities come out as they go in.
        self.probability_gating = ContextGating(dtype="float32", name="gating") if probability_gating else None

    def call(self, encoding, training=None):
        gates = self._one_by_one(self.gates(encoding), self.num_mixtures + 1)
        experts = self._one_by_one(self.experts(encoding), self.num_mixtures)
        highest = functools.reduce(tf.maximum, gates)
        gates = [tf.exp(gate - highest) for gate in gates]
        total = functools.reduce(tf.add, gates)
        shares = [gate / total for gate in gates[: self.num_mixtures]]  # the dummy, which is the last, votes 0
        probabilities = functools.reduce(tf.add, [s * tf.sigmoid(e) for s, e in zip(shares, experts)])  # [B, C]
        if self.probability_gating is None:
            return probabilities
        return self.probability_gating(probabilities, training=training)

    def _one_by_one(self, logits, count):
        """Class-major logits [B, C count] as `count` tensors float32 [B, C].

        Sums and softmax over an axis of 2 or 3 would take a third of the step of a small model on a CPU.
        """
        logits = tf.reshape(tf.cast(logits, tf.float32), [-1, self.num_classes, count])
        return tf.unstack(logits, axis=-1)

    def layer_macs(self) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video."""
        macs = {layer.name: layer.kernel.shape.num_elements() for layer in (self.gates, self.experts)}
        if self.probability_gating is not None:
            macs["gating"] = self.probability_gating.macs()
        return macs

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_mixtures": self.num_mixtures,
            "l2": self.l2,
            "probability_gating": self.probability_gating is not None,
            "prior_probability": self.prior_probability,
        }
