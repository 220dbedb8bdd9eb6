"""The classifier of `MixtureNeXtVLADModel`: a logistic regression a branch, which learn from their mixture."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.classifiers.logistic import prior_bias, slim_l2
from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class MixtureLogistic(CountsMacs, keras.layers.Layer):
    """Classifies each branch's encoding by itself, and mixes the logits: z = sum_m weight_m z_m.

    In training each branch also learns the labels, and from the mixture (on-the-fly distillation): softmax(z_m / T) is
    drawn to softmax(z / T) by their KL divergence. As in the authors' code, that moves the mixture, too.

    Source: section 3.4 of the NeXtVLAD paper (arXiv:1811.05014) and the mixture model of linrongc's code, whose final
    script has temperature T = 3 and weight 9 = T^2.

    Args:
      num_classes: number of classes.
      num_branches: branches of the encoder.
      temperature: T.
      co_distillation_weight: weight of the divergences.
      l2: weight of the penalty on kernels and biases, in TF-Slim's convention.
      prior_probability: what every class of every branch starts at; 0 for zero biases.

    Input: encoding [B, num_branches (E + 1)] of `MixtureNextVlad`.
    Output: dict of `predictions` float32 [B, num_classes], those of the mixture, `logits` float32 [B, num_classes] and
      `branch_logits` float32 [B, num_branches, num_classes].
    """

    def __init__(
        self,
        num_classes: int,
        num_branches: int = 3,
        temperature: float = 3.0,
        co_distillation_weight: float = 9.0,
        l2: float = 1e-5,
        prior_probability: float = 0.0,
        **kwargs,
    ):
        # No autocast: the branches cast their encodings themselves, and the weights stay float32.
        super().__init__(autocast=False, **kwargs)
        self.num_classes = num_classes
        self.num_branches = num_branches
        self.temperature = temperature
        self.co_distillation_weight = co_distillation_weight
        self.l2 = l2
        self.prior_probability = prior_probability
        self.branches = [
            keras.layers.Dense(
                num_classes,
                bias_initializer=prior_bias(prior_probability),
                kernel_regularizer=slim_l2(l2),
                bias_regularizer=slim_l2(l2),
                name=f"branch_{number}",
            )
            for number in range(num_branches)
        ]

    def call(self, encoding):
        *encodings, weights = tf.split(encoding, self._part_sizes(encoding.shape[-1]), axis=-1)
        logits = [tf.cast(branch(part), tf.float32) for branch, part in zip(self.branches, encodings)]
        branch_logits = tf.stack(logits, axis=1)  # [B, M, C]
        mixed = tf.reduce_sum(tf.cast(weights, tf.float32)[:, :, None] * branch_logits, axis=1)  # [B, C]
        return {"predictions": tf.sigmoid(mixed), "logits": mixed, "branch_logits": branch_logits}

    def auxiliary_losses(self, outputs, label_loss):
        """What training adds to the mixture's label loss, float32 [B].

        Args:
          outputs: what calling this layer returned.
          label_loss: function of predictions [B, num_classes] -> float32 [B].
        """
        target = tf.nn.log_softmax(outputs["logits"] / self.temperature)
        total = 0.0
        for logits in tf.unstack(outputs["branch_logits"], axis=1):
            log_softmax = tf.nn.log_softmax(logits / self.temperature)
            divergence = tf.reduce_sum(tf.exp(target) * (target - log_softmax), axis=-1)
            total += label_loss(tf.sigmoid(logits)) + self.co_distillation_weight * divergence
        return total

    def layer_macs(self) -> dict[str, int]:
        """Multiply-accumulates of each layer for one video."""
        macs = {branch.name: branch.kernel.shape.num_elements() for branch in self.branches}
        return {**macs, "mixture": self.num_branches * self.num_classes}

    def _part_sizes(self, width):
        size = width // self.num_branches - 1
        return [size] * self.num_branches + [self.num_branches]

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_branches": self.num_branches,
            "temperature": self.temperature,
            "co_distillation_weight": self.co_distillation_weight,
            "l2": self.l2,
            "prior_probability": self.prior_probability,
        }
