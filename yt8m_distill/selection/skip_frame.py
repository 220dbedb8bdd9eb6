"""SkipFrame: the few-frame classifier itself chooses which frame it reads next."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models import VideoClassifier
from yt8m_distill.models.batch_preparation import rounded
from yt8m_distill.models.encoders.stacked_lstm import zero_without_frames
from yt8m_distill.models.macs import macs_by_layer
from yt8m_distill.selection.reinforce import mean_of_others, reinforce_losses, returns_of, root_mean_square
from yt8m_distill.selection.rewards import delayed_rewards, gap_rewards, immediate_rewards
from yt8m_distill.selection.skip_policy import SkipPolicy

_VALUE_WEIGHT = 0.5


class SkipFrameClassifier(VideoClassifier):
    """Reads the first frame, then k - 1 times lets a policy on its recurrent state choose how far to skip.

    Frames that are not chosen are neither dequantised nor read. An episode ends where a skip leads past the last frame:
    the video is classified by the frames read until then. Evaluation takes the likeliest skip; training draws one, and
    teaches the policy by REINFORCE beside the classifier's own loss.

    Source: the talk on "Efficient Video Classification Using Fewer Frames" (SkipFrame) gives actions, rewards, budget
    and cost; episode, baseline and exploration are our choice.

    Args:
      encoder, classifier, frame_input, max_frames, dropout_rate: as of `VideoClassifier`; the encoder reads step by
        step (see `Recurrent.step`).
      num_sampled_frames: k, at least 2.
      skip_min, skip_max, skip_step: the skips are range(skip_min, skip_max, skip_step).
      skip_end: `stop` ends the episode at the end of the video, `clamp` reads the last frame again.
      skip_reward: `immediate`, the fall of the cross-entropy from frame to frame; `delayed`, minus the cross-entropy
        after the last frame; `gap`, the video's own average precision after the last frame.
      skip_baseline: what is subtracted from the returns: `batch`, the mean return of the other videos of the batch;
        `value`, this and a linear estimate, from the state, of how far the video's own is from it; `none`. What is left
        is divided by its root mean square over the batch, so that `skip_entropy` means the same for every reward. A
        decision that no other video of the batch has made teaches nothing, but with `none`. The batch is that of a
        replica, and of a part of it where gradients are accumulated.
      skip_entropy: weight of the policy's entropy, which keeps it exploring.
      skip_epsilon: probability, in training, of a skip drawn from all alike.
      policy_backprop: let the policy's loss train the recurrent layers, too.

    Output of `encode_and_classify`, beside that of `VideoClassifier`:
      `frame_indices` int64 [B, k], the frames read, in order; of those past `num_frames` int32 [B] the last one. In
        training `policy`, a dict of what its loss needs, [B, k - 1] each.
    """

    def __init__(
        self,
        *args,
        num_sampled_frames: int,
        skip_min: int,
        skip_max: int,
        skip_step: int,
        skip_end: str,
        skip_reward: str,
        skip_baseline: str,
        skip_entropy: float,
        skip_epsilon: float,
        policy_backprop: bool,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.num_sampled_frames = num_sampled_frames
        self.clamps = skip_end == "clamp"
        self.reward = skip_reward
        self.baseline = skip_baseline
        self.entropy_weight = skip_entropy
        self.policy_backprop = policy_backprop
        self.policy = SkipPolicy(range(skip_min, skip_max, skip_step), skip_epsilon, name="skip_policy")

    @staticmethod
    def selection_arguments(config) -> dict:
        """The arguments of this class that a `ModelConfig` asks for."""
        names = config.learned_selection.hyperparameters
        arguments = {name: config.hyperparameters[name] for name in names}
        return {**arguments, "num_sampled_frames": config.num_sampled_frames}

    @property
    def skips_padding(self) -> bool:
        """True: frames that are not chosen, padding among them, cost nothing."""
        return True

    def encode(self, inputs, training=None, mix=None):
        frames, num_frames, _ = self._frames_read(inputs, training)
        batch_size = tf.shape(frames)[0]
        position, last = tf.zeros([batch_size], tf.int32), tf.maximum(num_frames - 1, 0)  # [B] both
        states = self.encoder.initial_states(batch_size)
        indices, read, hidden, decisions = [], [], [], []
        for number in range(self.num_sampled_frames):
            if number:
                skip, decision = self._decide(states, training)
                decisions.append(decision)
                position = tf.minimum(position + skip, last) if self.clamps else position + skip
            is_read = position < num_frames  # [B]; once it is not, it never is again
            index = tf.minimum(position, last)
            states = self._read(frames, index, is_read, states)
            indices.append(index)
            read.append(is_read)
            hidden.append(self.encoder.top_hidden_state(states))
        is_read = tf.stack(read, axis=1)  # [B, k]
        outputs = {
            "encoding": zero_without_frames(hidden[-1], num_frames),
            "frame_states": tf.stack(hidden, axis=1),  # [B, k, E]
            "frame_indices": tf.cast(tf.stack(indices, axis=1), tf.int64),
            "num_frames": tf.reduce_sum(tf.cast(is_read, tf.int32), axis=1),
        }
        if training:
            names = ("log_probs", "entropies", "values")
            columns = {name: tf.stack(column, axis=1) for name, column in zip(names, zip(*decisions))}
            outputs["policy"] = {**columns, "is_decision": is_read[:, :-1]}  # what was decided after a frame
        return outputs

    def _read(self, frames, index, is_read, states):
        """The states after one frame of each video; of videos that have ended, as they were."""
        frame = tf.gather(frames, index[:, None], batch_dims=1)  # [B, 1, D]
        features = self.frame_input(frame, tf.cast(is_read, tf.int32))[:, 0]  # [B, D]
        new_states = self.encoder.step(features, states)
        return [tf.where(is_read[:, None], new, old) for new, old in zip(new_states, states)]

    def _decide(self, states, training):
        state = tf.concat([tf.cast(part, tf.float32) for part in states], axis=-1)  # [B, S]
        logits, values = self.policy(state if self.policy_backprop else tf.stop_gradient(state))
        if not training:
            return self.policy.best_skip(logits), None
        skip, log_probs, entropies = self.policy.draw_skip(logits)
        return skip, (log_probs, entropies, values)

    def selection_losses(self, outputs, labels):
        """What REINFORCE teaches the policy by; notes the returns among the outputs of the policy."""
        policy = outputs["policy"]
        is_decision = policy["is_decision"]
        returns = tf.stop_gradient(returns_of(self._rewards(outputs, rounded(labels))))  # [B, k - 1]
        policy["returns"] = returns
        baselines, is_judged = self._baselines(policy, returns)
        advantages = returns - baselines  # [B, k - 1]
        unit = tf.stop_gradient(root_mean_square(advantages, is_judged))
        advantages = tf.math.divide_no_nan(advantages, unit)
        losses = reinforce_losses(policy["log_probs"], advantages, is_judged)
        if self.baseline == "value":
            losses += _VALUE_WEIGHT * tf.reduce_sum(tf.where(is_judged, advantages**2, 0.0), axis=-1)
        return losses - self.entropy_weight * tf.reduce_sum(tf.where(is_decision, policy["entropies"], 0.0), axis=-1)

    def selection_metrics(self, outputs, num_examples) -> dict:
        """`reward`, what an episode earned, and `entropy` of a decision in nats."""
        policy = outputs["policy"]
        is_decision = tf.cast(policy["is_decision"], tf.float32)
        num_decisions = tf.reduce_sum(is_decision, axis=-1)  # [B]
        entropies = tf.math.divide_no_nan(tf.reduce_sum(is_decision * policy["entropies"], axis=-1), num_decisions)
        return {
            "reward": tf.math.divide_no_nan(tf.reduce_sum(policy["returns"][:, 0]), num_examples),
            "entropy": tf.math.divide_no_nan(tf.reduce_sum(entropies), num_examples),
        }

    def _rewards(self, outputs, labels):
        num_decisions = self.num_sampled_frames - 1
        if self.reward == "delayed":
            return delayed_rewards(outputs["predictions"], labels, num_decisions)
        if self.reward == "gap":
            return gap_rewards(outputs["predictions"], labels, num_decisions)
        return immediate_rewards(self.classify(tf.stop_gradient(outputs["frame_states"])), labels)

    def _baselines(self, policy, returns):
        """What the returns are compared with, float32 [B, k - 1], and which decisions can be judged so."""
        if self.baseline == "none":
            return tf.zeros_like(returns), policy["is_decision"]
        of_others, has_others = mean_of_others(returns, policy["is_decision"])
        return (of_others + policy["values"] if self.baseline == "value" else of_others), has_others

    def selection_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of choosing the frames of a video of so many."""
        num_decisions = self.num_choices(num_frames)
        return {name: num_decisions * macs for name, macs in macs_by_layer([self.policy]).items()}

    def num_choices(self, num_frames: int) -> int:
        """Decisions in a video of so many frames, at most: one after each frame read but the last."""
        return max(0, self.model_config.num_read(num_frames) - 1)
