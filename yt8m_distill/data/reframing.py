"""Frame-level videos made of real video-level ones: what the videos are about is real, how they run is not.

The 1.5 TB of frame-level features are out of reach for most; the video-level ones, each video's mean over its frames,
are small. Here a real video gets frames again, such that their mean is the real one.

Real: the means of each feature, the labels, the ids, and with them what separates the classes and how hard that is.
Invented: the frames about these means, calibrated on one real frame-level record (`frame_statistics.REAL_STATISTICS`);
their number, drawn as real videos have them; and which labels only a part of a video carries.

What real videos have beyond that and these do not: shots that show more or less clearly what the labels say (here a
frame is its scene's mean and noise: it matters how many frames of which scenes are seen, but none is more telling than
its neighbours, and motion tells nothing); sound that changes apart from the picture; title cards and silence; leading
values, which are principal components, that vary more slowly than the others; sound whose variation keeps to few
directions.

YouTube-8M is published by Google under CC BY 4.0; what is made of its records must say so, and that its frames are
invented.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from yt8m_distill.data.frame_statistics import dequantized

MAX_FRAMES = 300

# Frames of a video, by quantile: through the figures of 5,978 real videos of 2018, which have 1 to 301 frames, 230 in
# the mean, 232 in the median, exactly 300 in 29 % of the videos; of few is known that they are short.
_QUANTILES, _NUM_FRAMES_AT = (0, 0.02, 0.5, 0.71, 1), (1, 122, 232, 300, 300)

# A scene is a run of shots, a shot one of moments, and a moment lasts a frame, or more where the video stands still.
_MEAN_SHOT_MOMENTS = 4.5
_SHARE_OF_STILL_STEPS = 0.1
_MEAN_STILL_STEPS = 2.5
_SCENES_OF_MIXED_VIDEO = (2, 3)
_MIN_SCENE_FRAMES = 5  # of all scenes but the last, which has one at least
# Where labels live in few shots: how many, and of how many kinds the frames between them are.
_TELLING_SHOTS = (1, 2, 3)
_NUM_FILLERS = 20

_BYTES_PER_UNIT = np.float32(255 / 4)
_MEAN_TOLERANCE = np.float32(0.02)  # in bytes, a third of a thousandth in features
_MAX_MEAN_STEPS = 10
_REACHABLE_MEANS = (-2.02, 2.02)  # what bytes can say, from -1.99 to 2.01, and room for rounding


class Variation(NamedTuple):
    """How a feature varies within a video.

    Attributes:
      std: standard deviation of a value, before it is cut to what a byte can say.
      share_of_shots: share of the variance that is between shots; the rest is between the moments of a shot.
    """

    std: float
    share_of_shots: float


VARIATIONS = {"rgb": Variation(1.067, 0.46), "audio": Variation(1.035, 0.54)}


@dataclasses.dataclass(frozen=True)
class VideoMeans:
    """Real video-level records.

    Attributes:
      ids: of the videos.
      labels: of each video, ascending.
      means: feature name (`rgb`, `audio`) -> float32 [num_videos, size].

    Raises:
      ValueError: another feature, or a mean that bytes cannot have; names the video.
    """

    ids: Sequence[str]
    labels: Sequence[Sequence[int]]
    means: Mapping[str, np.ndarray]

    def __post_init__(self):
        lowest, highest = _REACHABLE_MEANS
        for name, means in self.means.items():
            if name not in VARIATIONS:
                raise ValueError(f"Features must be of {', '.join(VARIATIONS)}. Received: {name!r}.")
            bad = np.argwhere(~((means >= lowest) & (means <= highest)))
            if len(bad):
                number, column = bad[0]
                raise ValueError(
                    f"Video {self.ids[number]!r}: the mean of {name} value {column} must be from {lowest} to "
                    f"{highest}, as means of YouTube-8M's frames are. Received: {means[number, column]}."
                )


class ReframedVideos:
    """Frame-level videos of video-level ones; a video is the same whenever it is asked for.

    A share of the videos is mixed: two or three scenes, one of the video's own and one of each of one or two other
    videos that share a label with it. A scene's frames have its own video's mean, and the labels are united, so that
    some are carried by one scene alone.

    With `telling_share` below 1, a video's own frames are few: that share of all, in one to three shots that lie
    anywhere. The frames between them are of a few fillers, as title cards and talking heads are, which say nothing of a
    label. They are invented from the seed and from how the means of all videos spread, so that the splits of a dataset
    share them but for the difference of their spreads: what was learned of fillers on one holds on the other. There
    choosing frames well can pay.

    Args:
      videos: what to make frames for, and where other scenes come from.
      seed: of everything invented. A video's frames depend on it, its id and, if it is mixed, the videos beside it.
      max_frames: of a video.
      mixed_share: share of the videos that is to be mixed, from 0 to 1; a few less are, as short videos and those
        whose labels no other video has cannot be. None is where `telling_share` is below 1.
      telling_share: share of a video's frames that are its own, above 0.

    Attributes:
      means: feature name -> float32 [num_videos, size] of the videos; behind them, where `telling_share` is below 1,
        the fillers.

    Raises:
      ValueError: `max_frames`, `mixed_share` or `telling_share` is out of range.
    """

    def __init__(
        self,
        videos: VideoMeans,
        seed: int = 0,
        max_frames: int = MAX_FRAMES,
        mixed_share: float = 1 / 3,
        telling_share: float = 1.0,
    ):
        if max_frames < 1:
            raise ValueError(f"max_frames must be at least 1. Received: {max_frames}.")
        if not 0 <= mixed_share <= 1:
            raise ValueError(f"mixed_share must be from 0 to 1. Received: {mixed_share}.")
        if not 0 < telling_share <= 1:
            raise ValueError(f"telling_share must be above 0, at most 1. Received: {telling_share}.")
        if telling_share < 1 and len(videos.ids) < 2:
            raise ValueError("telling_share below 1 needs other videos, for the frames that are not a video's own.")
        self.videos = videos
        self.seed = seed
        self.max_frames = max_frames
        self.mixed_share = mixed_share
        self.telling_share = telling_share
        self.means = _with_fillers(videos.means, seed) if telling_share < 1 else videos.means
        self._videos_of_label: dict[int, list[int]] = {}
        for number, labels in enumerate(videos.labels):
            for label in labels:
                self._videos_of_label.setdefault(label, []).append(number)

    def __len__(self) -> int:
        return len(self.videos.ids)

    def video(self, number: int) -> tuple[list[int], dict[str, np.ndarray]]:
        """Labels, ascending, and frames, feature name -> uint8 [num_frames, size], of one video."""
        rng = self._rng(number)
        scenes, lengths = self._draw_scenes(rng, number)
        labelled = scenes if self.telling_share == 1 else [number]
        labels = sorted({int(label) for scene in labelled for label in self.videos.labels[scene]})
        moments = [_draw_moments(rng, length) for length in lengths]
        frames = {}
        for name, means in self.means.items():
            variation = _without_scenes(VARIATIONS[name], means[scenes], lengths)
            frames[name] = np.concatenate(
                [_draw_frames(rng, means[scene], variation, *moment) for scene, moment in zip(scenes, moments)]
            )
        return labels, frames

    def scenes(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Whose `means` one video's scenes have, in order, and how many frames each has."""
        return self._draw_scenes(self._rng(number), number)

    def _rng(self, number):
        return np.random.default_rng([self.seed, int.from_bytes(self.videos.ids[number].encode(), "big")])

    def _draw_scenes(self, rng, number):
        num_frames = min(draw_num_frames(rng), self.max_frames)
        if self.telling_share < 1:
            return self._draw_telling_shots(rng, number, num_frames)
        wanted = int(rng.choice(_SCENES_OF_MIXED_VIDEO)) if rng.random() < self.mixed_share else 1
        labels, others = self.videos.labels[number], set()
        for _ in range(min(wanted, num_frames // _MIN_SCENE_FRAMES) - 1 if len(labels) else 0):
            others.add(int(rng.choice(self._videos_of_label[rng.choice(labels)])))
        scenes = rng.permutation([number, *sorted(others - {number})])
        spare = num_frames - _MIN_SCENE_FRAMES * (len(scenes) - 1)
        cuts = np.sort(rng.integers(0, spare, len(scenes) - 1)) + _MIN_SCENE_FRAMES * np.arange(1, len(scenes))
        return scenes, np.diff([0, *cuts, num_frames])

    def _draw_telling_shots(self, rng, number, num_frames):
        """Shots of the video's own, and fillers before, between and after them."""
        num_telling = max(1, round(num_frames * self.telling_share))
        num_shots = min(int(rng.choice(_TELLING_SHOTS)), num_telling)
        own = np.diff([0, *np.sort(rng.choice(np.arange(1, num_telling), num_shots - 1, replace=False)), num_telling])
        num_others = num_frames - num_telling
        gaps = np.diff([0, *np.sort(rng.integers(0, num_others + 1, num_shots)), num_others])
        lengths, scenes = np.zeros(2 * num_shots + 1, int), len(self) + rng.integers(0, _NUM_FILLERS, 2 * num_shots + 1)
        lengths[1::2], lengths[::2], scenes[1::2] = own, gaps, number
        return scenes[lengths > 0], lengths[lengths > 0]


def _with_fillers(means, seed):
    """Appends the means of the fillers to those of the videos: as far from the middle as these, in other directions."""
    extended = {}
    for number, (name, of_videos) in enumerate(means.items()):
        drawn = np.random.default_rng([seed, number]).standard_normal((_NUM_FILLERS, of_videos.shape[1]), np.float32)
        fillers = np.clip(of_videos.mean(axis=0) + of_videos.std(axis=0) * drawn, *_REACHABLE_MEANS)
        extended[name] = np.concatenate([of_videos, fillers.astype(np.float32)])
    return extended


def draw_num_frames(rng: np.random.Generator) -> int:
    """How many frames a video has, 1 to 300, as often as real videos have."""
    return int(np.interp(rng.random(), _QUANTILES, _NUM_FRAMES_AT))


def _draw_moments(rng, num_frames):
    """Which moment each frame shows, int [num_frames], and to which shot each moment belongs."""
    holds = rng.random(num_frames) < _SHARE_OF_STILL_STEPS / (1 - _SHARE_OF_STILL_STEPS) / _MEAN_STILL_STEPS
    durations = 1 + holds * rng.geometric(1 / _MEAN_STILL_STEPS, num_frames)
    moment_of_frame = np.repeat(np.arange(num_frames), durations)[:num_frames]
    shot_of_moment = np.cumsum(rng.random(moment_of_frame[-1] + 1) < 1 / _MEAN_SHOT_MOMENTS)
    return moment_of_frame, shot_of_moment


def _without_scenes(variation, means, lengths):
    """What is left of a video's variance for the inside of its scenes."""
    weights = lengths / lengths.sum()
    between = np.mean(weights @ (means - weights @ means) ** 2)
    return variation._replace(std=np.sqrt(max(variation.std**2 - between, variation.std**2 / 4)))


def _draw_frames(rng, means, variation, moment_of_frame, shot_of_moment):
    """Frames of one scene, uint8 [num_frames, size]."""
    std = variation.std * _BYTES_PER_UNIT
    values = rng.standard_normal((len(shot_of_moment), len(means)), np.float32)
    values *= np.float32(std * np.sqrt(1 - variation.share_of_shots))
    shots = rng.standard_normal((shot_of_moment[-1] + 1, len(means)), np.float32)
    shots *= np.float32(std * np.sqrt(variation.share_of_shots))
    values += shots[shot_of_moment]
    values = values[moment_of_frame]
    values -= values.mean(axis=0)
    values += _offsets(values, (means - dequantized(np.uint8(0))) * _BYTES_PER_UNIT)
    np.clip(values, 0, 255, out=values)
    # Rounded up or down at random, by how near it is: right in the mean, and still frames flicker as real ones do.
    values += np.frombuffer(rng.bytes(values.size), np.uint8).reshape(values.shape) * np.float32(1 / 256)
    return values.astype(np.uint8)


def _offsets(deviations, targets):
    """What to add to deviations, [num_frames, size], for their means to be `targets` once they are cut to 0..255.

    Newton's method: the mean grows with the offset as fast as there are frames inside the range. Most values need a
    step or two; those whose mean is near the end of the range need more.
    """
    offsets = targets.copy()
    columns = np.arange(len(targets))
    for _ in range(_MAX_MEAN_STEPS):
        values = deviations[:, columns] + offsets[columns] if len(columns) < len(targets) else deviations + offsets
        cut = np.clip(values, 0, 255)
        errors = targets[columns] - cut.mean(axis=0)
        inside = np.count_nonzero(cut == values, axis=0) / np.float32(len(values))
        offsets[columns] += errors / np.maximum(inside, np.float32(0.1))
        columns = columns[np.abs(errors) > _MEAN_TOLERANCE]
        if not len(columns):
            break
    return offsets
