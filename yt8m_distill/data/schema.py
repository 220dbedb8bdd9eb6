"""What a record of a dataset holds: feature names and sizes, video-level or frame-level, classes and frames."""

from __future__ import annotations

import dataclasses

_LARGEST_FEATURE = 2**20


@dataclasses.dataclass(frozen=True)
class RecordSchema:
    """The layout of the records of one dataset.

    Attributes:
      feature_names: names of the features, concatenated in this order, e.g. `("rgb", "audio")`.
      feature_sizes: width of each feature, e.g. `(1024, 128)`.
      frame_features: True for `tf.train.SequenceExample` records with one row of bytes a frame, False for
        `tf.train.Example` records with one float vector a video.
      num_classes: size of the label vocabulary (3862 in the 2018 release, 4716 in 2017, 527 in AudioSet).
      max_frames: frames kept of a longer video; frame-level records only. The original's reader keeps 300.

    Raises:
      ValueError: names and sizes differ in number, or a number is out of range.
    """

    feature_names: tuple[str, ...]
    feature_sizes: tuple[int, ...]
    frame_features: bool = False
    num_classes: int = 3862
    max_frames: int = 300

    def __post_init__(self):
        for name in ("feature_names", "feature_sizes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.feature_names) != len(self.feature_sizes) or not self.feature_names:
            raise ValueError(
                "feature_names and feature_sizes must list the same number of features. Received: "
                f"feature_names={','.join(self.feature_names)!r} ({len(self.feature_names)} names), "
                f"feature_sizes={','.join(map(str, self.feature_sizes))!r} ({len(self.feature_sizes)} sizes)."
            )
        if len(set(self.feature_names)) != len(self.feature_names) or not all(self.feature_names):
            raise ValueError(f"feature_names must be distinct and not empty. Received: {self.feature_names}.")
        if not all(1 <= size <= _LARGEST_FEATURE for size in self.feature_sizes):
            raise ValueError(f"feature_sizes must be from 1 to {_LARGEST_FEATURE}. Received: {self.feature_sizes}.")
        if self.num_classes < 2:
            raise ValueError(f"num_classes must be at least 2. Received: {self.num_classes}.")
        if self.max_frames < 1:
            raise ValueError(f"max_frames must be at least 1. Received: {self.max_frames}.")

    @property
    def feature_width(self) -> int:
        """Width of the concatenated feature vector."""
        return sum(self.feature_sizes)
