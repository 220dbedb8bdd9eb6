"""`Ensemble`: several trained models that predict as one."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import tensorflow as tf

from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.models.checkpoints import load_model
from yt8m_distill.models.mixup import Mix
from yt8m_distill.models.prediction_function import prediction_function
from yt8m_distill.models.video_classifier import VideoClassifier

_AGREE_ON = ("feature_names", "feature_sizes", "frame_features", "num_classes", "max_frames")


class Ensemble:
    """Predicts the weighted mean of its members' probabilities.

    Works where a single model does: `evaluate`, `predict_batches`, `export_saved_model`. The members may be different
    models of different sizes with different frame budgets.

    Members that all have the same frame budget (whatever varied it in training) have the pipeline pick their frames, so
    that no other frame is decoded. Otherwise the pipeline gives whole videos, from which each member picks its own
    frames on the device.

    The mean is taken in float64, so that members that agree give exactly what each of them gives.

    Args:
      members: trained models; made under the tf.distribute strategy that the ensemble is to run under.
      weights: one positive number a member, in any unit; None weighs all alike.
      names: what errors call the members, such as their train_dirs; None calls them `member 0`, `member 1`, ...

    Attributes:
      members: the models.
      weights: floats that add up to 1.
      schema: layout of the records that all members read.
      sampler: the frame budget that all members share, or None.

    Raises:
      ValueError: no member; weights that are not one positive number a member; members that read different records or
        predict different classes; a member that picks frames at random by the video's id, which it does not see.
    """

    def __init__(
        self,
        members: Sequence[VideoClassifier],
        weights: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
    ):
        if not members:
            raise ValueError("An ensemble needs at least one member. Received: none.")
        names = names or [f"member {number}" for number in range(len(members))]
        self.members = list(members)
        self.weights = normalized_weights(weights, len(members))
        self.schema: RecordSchema = members[0].schema
        for member, name in zip(members[1:], names[1:]):
            _check_same_records(member.schema, name, self.schema, names[0])
        budgets = {_budget_in_use(member.sampler) for member in members}
        self.sampler: FrameSampler | None = next(iter(budgets)) if len(budgets) == 1 else None
        if len(budgets) > 1:
            for member, name in zip(members, names):
                _check_picks_from_whole_videos(member.sampler, name)

    def __call__(self, inputs, training=None) -> dict:
        """Predicts; `inputs` as of `VideoClassifier`.

        Returns:
          Dict of `predictions`, float32 [B, num_classes] in [0, 1].
        """
        return self.encode_and_classify(inputs, training)

    def encode_and_classify(self, inputs, training=None, mix: Mix | None = None) -> dict:
        """As calling the ensemble; `mix` as of `VideoClassifier.encode_and_classify`, for each member."""
        if training:
            raise ValueError("An ensemble predicts only; train its members one by one.")
        parts = [
            weight * tf.cast(member.encode_and_classify(inputs, False, mix)["predictions"], tf.float64)
            for member, weight in zip(self.members, self.weights)
        ]
        return {"predictions": tf.cast(tf.add_n(parts), tf.float32)}

    @functools.cached_property
    def predictions_of(self):
        """Graph function from inputs to predictions, float32 [B, num_classes]; traced once for all evaluations."""
        return prediction_function(lambda inputs: self(inputs)["predictions"])

    @property
    def skips_padding(self) -> bool:
        """Whether no member computes anything for rows past a video's last frame."""
        return all(member.skips_padding for member in self.members)

    @property
    def variables(self) -> list:
        """The members' variables, member by member."""
        return [variable for member in self.members for variable in member.variables]


def load_ensemble(train_dirs: Sequence[str], weights: Sequence[float] | None = None, which: str = "latest") -> Ensemble:
    """Loads the ensemble of several trained models.

    Args:
      train_dirs: directories of training runs, or of unpacked model archives.
      weights: as of `Ensemble`, one a train_dir.
      which: `latest` or `best` checkpoint of each.

    Raises:
      ValueError, FileNotFoundError: as `Ensemble` and `load_model`.
    """
    weights = normalized_weights(weights, len(train_dirs))  # first: loading takes long
    return Ensemble([load_model(train_dir, which) for train_dir in train_dirs], weights, train_dirs)


def load_teacher(train_dirs: Sequence[str], which: str = "latest") -> VideoClassifier | Ensemble:
    """The one model to learn from, or the ensemble of several; arguments and errors as of `load_ensemble`."""
    return load_model(train_dirs[0], which) if len(train_dirs) == 1 else load_ensemble(train_dirs, which=which)


def normalized_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Scales `count` positive weights to add up to 1; None gives equal ones.

    Raises:
      ValueError: another number of weights, one that is not positive and finite, or weights too far apart for a float.
    """
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count:
        raise ValueError(f"Give {count} weights, one for each. Received: {len(weights)}.")
    for weight in weights:
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"weights must be positive numbers. Received: {weight}.")
    total = sum(weights)  # infinite if they are too large
    shares = [weight / total for weight in weights]
    if not all(shares):
        raise ValueError(f"weights are too large, or too far apart. Received: {', '.join(map(str, weights))}.")
    return shares


def _check_same_records(schema, name, first_schema, first_name):
    for field in _AGREE_ON:
        if field == "max_frames" and not schema.frame_features:
            continue  # means nothing to models of mean features
        received, wanted = getattr(schema, field), getattr(first_schema, field)
        if received != wanted:
            raise ValueError(
                f"The members of an ensemble must agree on {field}: {first_name} has {wanted!r}, "
                f"{name} has {received!r}. Leave one of them out."
            )


def _budget_in_use(sampler):
    """A frame budget without what it does in training only."""
    return sampler and dataclasses.replace(sampler, jitter=False, budgets=())


def _check_picks_from_whole_videos(sampler, name):
    if sampler is not None and sampler.method == "random":
        raise ValueError(
            f"{name} has frame_sampling='random', which draws frames by the video's id; members with different frame "
            "budgets get whole videos without their ids, and it would read other frames than alone. Leave it out, or "
            "combine it with members of the same frame budget only."
        )
