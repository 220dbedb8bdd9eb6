"""Saliency sampling: a light network scores all frames, a heavy and frozen one reads the best."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models import VideoClassifier
from yt8m_distill.models.batch_preparation import rounded
from yt8m_distill.models.leading_values import columns_of, leading_values
from yt8m_distill.models.macs import macs_by_layer
from yt8m_distill.models.windows import mean_over_windows
from yt8m_distill.selection.saliency_objectives import (
    action_classifier_losses,
    saliency_classification_losses,
    saliency_ranking_losses,
)
from yt8m_distill.selection.saliency_scorer import SaliencyScorer
from yt8m_distill.selection.top_frames import top_frames, union_scores
from yt8m_distill.selection.usefulness import window_usefulness


class SaliencyClassifier(VideoClassifier):
    """Classifies a video by the k frames that a light scorer finds most salient, in order of time.

    Encoder and classifier are those of a trained model and stay as they are (`--initial_train_dir`); training teaches
    the scorers which frames they get most from. How much they get from a frame is what they predict for the video's
    labels when they see nothing but the frames around it, a window.

    Source: SCSampler (ICCV 2019). Features stand for its compressed video and spectrograms, and what it saves by not
    decoding is already spent in this dataset: only the cost of the classifier falls.

    Args:
      encoder, classifier, frame_input, max_frames, dropout_rate: as of `VideoClassifier`.
      num_sampled_frames: k.
      scorers: `SaliencyScorer` and its objective (see `saliency_objectives`), one, or two whose choices are united.
      union_size: of two scorers, how many frames the first one chooses before the second one fills the rest.
      window: frames that are judged together in training.

    Output of `encode_and_classify`, beside that of `VideoClassifier`:
      `frame_scores` float32 [B, T], by which the frames were chosen, and in training `saliency`, what the loss needs.
    """

    def __init__(self, *args, num_sampled_frames: int, scorers: list, union_size: int, window: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_sampled_frames = num_sampled_frames
        self.scorers = [scorer for scorer, _ in scorers]
        self.objectives = [objective for _, objective in scorers]
        self.union_size = union_size
        self.window = window
        self.encoder.trainable = False
        self.classifier.trainable = False

    @staticmethod
    def selection_arguments(config) -> dict:
        """The arguments of this class that a `ModelConfig` asks for.

        Raises:
          ValueError: inputs that the records do not have, or a second scorer that would choose nothing.
        """
        values = config.hyperparameters
        scorers = [_scorer(config, "saliency_inputs", values["saliency_objective"])]
        if values["saliency_union_inputs"]:
            scorers.append(_scorer(config, "saliency_union_inputs", values["saliency_union_objective"]))
        return {
            "num_sampled_frames": config.num_sampled_frames,
            "scorers": scorers,
            "union_size": _union_size(values["saliency_union_size"], config.num_sampled_frames, len(scorers)),
            "window": values["saliency_window"],
        }

    @property
    def skips_padding(self) -> bool:
        """True: the encoder reads the frames that were chosen and no others."""
        return True

    def encode_and_classify(self, inputs, training=None, mix=None, trains_classifier=True):
        return super().encode_and_classify(inputs, training, mix, trains_classifier=False)

    def encode(self, inputs, training=None, mix=None):
        frames, num_frames, _ = self._frames_read(inputs, training)
        logits = [scorer(frames) for scorer in self.scorers]
        scores = self._combined(logits, num_frames)
        indices, num_read = top_frames(scores, num_frames, self.num_sampled_frames)
        chosen = tf.gather(frames, indices, batch_dims=1)  # [B, k, D]
        outputs = self.encode_frames(chosen, num_read, training=False)
        outputs.update(frame_indices=indices, frame_scores=scores)
        if training:
            outputs["saliency"] = {"frames": frames, "num_frames": num_frames, "logits": logits}
        return outputs

    def _combined(self, logits, num_frames):
        scores = [scorer.scores_of(of_scorer) for scorer, of_scorer in zip(self.scorers, logits)]
        return scores[0] if len(scores) == 1 else union_scores(*scores, num_frames, self.union_size)

    def selection_losses(self, outputs, labels):
        """What the scorers are taught by."""
        saliency, labels = outputs["saliency"], rounded(labels)
        num_frames = saliency["num_frames"]
        usefulness, is_window = None, None
        if any(objective != "ac" for objective in self.objectives):
            usefulness, is_window = window_usefulness(self, saliency["frames"], num_frames, labels, self.window)
        losses = 0.0
        for scorer, objective, logits in zip(self.scorers, self.objectives, saliency["logits"]):
            if objective == "ac":
                losses += action_classifier_losses(logits, labels, num_frames)
                continue
            scores = mean_over_windows(scorer.scores_of(logits)[:, :, None], num_frames, self.window)[..., 0]
            if objective == "sal_cl":
                num_good = -(-self.num_sampled_frames // self.window)
                losses += saliency_classification_losses(scores, usefulness, is_window, num_good)
            else:
                losses += saliency_ranking_losses(scores, usefulness, is_window)
        return losses

    def selection_macs(self, num_frames: int) -> dict[str, int]:
        """Multiply-accumulates of choosing the frames of a video of so many: all of them are scored."""
        return macs_by_layer(self.scorers, num_frames)

    def num_choices(self, num_frames: int) -> int:
        """Frames of a video of so many that are scored: all."""
        return num_frames

    @property
    def num_values_scored(self) -> int:
        """Values of each frame that any of the scorers sees."""
        return len({column for scorer in self.scorers for column in scorer.columns})


def _union_size(given, num_sampled_frames, num_scorers):
    size = given or max(1, num_sampled_frames * 4 // 5)  # SCSampler's 8 of 10
    if num_scorers > 1 and size >= num_sampled_frames:
        raise ValueError(
            f"saliency_union_size={size} of num_sampled_frames={num_sampled_frames} leaves the second scorer nothing."
        )
    return size


def _scorer(config, flag, objective):
    named = leading_values(config.hyperparameters[flag], config.feature_names, config.feature_sizes, flag)
    columns = columns_of(named, config.feature_names, config.feature_sizes)
    num_classes = config.num_classes if objective == "ac" else 0
    hidden_size = config.hyperparameters["saliency_hidden_size"]
    return SaliencyScorer(columns, hidden_size, num_classes, name=flag.replace("inputs", "scorer")), objective
