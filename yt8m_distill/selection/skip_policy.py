"""The policy of SkipFrame: from the state of a recurrent network to how many frames it goes on."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.macs import CountsMacs
from yt8m_distill.stack import keras


class SkipPolicy(CountsMacs, keras.layers.Layer):
    """One linear layer and a softmax over skips; in training also a linear estimate of what the episode will earn.

    With 20 skips and the 4096 values of a 2-layer LSTM of 1024 cells, a decision takes the 81,920 multiply-accumulates
    that the slides of "Efficient Video Classification Using Fewer Frames" state. The layer is deduced from that number:
    the slides do not draw it.

    Args:
      skips: how many frames each action goes on.
      exploration: in training, the probability of an action that is drawn from all alike.

    Input: state float32 [B, S].
    Output: logits float32 [B, actions] and values float32 [B].
    """

    def __init__(self, skips, exploration: float = 0.0, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"}, autocast=False)
        self.skips = list(skips)
        self.exploration = exploration
        self.action_head = keras.layers.Dense(len(self.skips), dtype="float32", name="action_head")
        self.value_head = keras.layers.Dense(1, dtype="float32", name="value_head")

    def call(self, state):
        return self.action_head(state), self.value_head(tf.stop_gradient(state))[:, 0]

    def best_skip(self, logits):
        """The likeliest skip, int32 [B]; the shortest of several."""
        return self._skips_of(tf.argmax(logits, axis=-1))

    def draw_skip(self, logits):
        """Draws an action for each video.

        Args:
          logits: float32 [B, actions].

        Returns:
          skip int32 [B]; its log-probability float32 [B], with the exploration; entropy of the policy, without it,
          float32 [B].
        """
        log_policy = tf.nn.log_softmax(logits)
        policy = tf.exp(log_policy)
        log_drawn_from = log_policy
        if self.exploration:
            log_drawn_from = tf.math.log((1 - self.exploration) * policy + self.exploration / len(self.skips))
        actions = tf.random.categorical(log_drawn_from, 1)[:, 0]  # [B]
        # Not tf.gather, whose gradient fails for a replica that has no video.
        is_drawn = tf.one_hot(actions, len(self.skips), on_value=True, off_value=False, dtype=tf.bool)
        log_probs = tf.reduce_sum(tf.where(is_drawn, log_drawn_from, 0.0), axis=-1)
        return self._skips_of(actions), log_probs, -tf.reduce_sum(policy * log_policy, axis=-1)

    def _skips_of(self, actions):
        return tf.gather(tf.constant(self.skips, tf.int32), actions)

    def layer_macs(self) -> dict[str, int]:
        """Multiply-accumulates of one decision; the value head is for training only."""
        return {"action_head": self.action_head.kernel.shape.num_elements()}

    def get_config(self):
        return {**super().get_config(), "skips": self.skips, "exploration": self.exploration}
