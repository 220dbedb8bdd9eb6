"""What was written, beside what is real: re-framed shards read back and measured."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from yt8m_distill.data.frame_statistics import MIN_FRAMES, dequantized, frame_statistics, read_frames
from yt8m_distill.data.reframing import ReframedVideos


@dataclasses.dataclass(frozen=True)
class ReframedSummary:
    """Measured on a sample of re-framed videos.

    Attributes:
      num_videos: how many were read.
      statistics: feature name -> the mean over the videos of each of `frame_statistics`; empty if all are short.
      num_frames: of each video.
      num_labels: of each video.
      mixed_share: share of the videos that have scenes of other videos.
      mean_residual: how far the means of the frames are from those of the records (of a mixed video, those of its
        scenes, weighted by their frames): root mean square over videos and values, in dequantised units.
      mean_spread: how far the records' means are from their own mean, to compare with.
    """

    num_videos: int
    statistics: dict[str, dict[str, float]]
    num_frames: list[int]
    num_labels: list[int]
    mixed_share: float
    mean_residual: float
    mean_spread: float


def summarize_reframed(paths: list[str], videos: ReframedVideos, num_sampled: int = 200) -> ReframedSummary:
    """Reads the first videos of each file, `num_sampled` or a few more in all, and measures them.

    Args:
      paths: what `write_reframed_shards` wrote of `videos`.
      videos: what the files were made of.
      num_sampled: videos to read.
    """
    number_of_id = {video_id: number for number, video_id in enumerate(videos.videos.ids)}
    means = np.concatenate(list(videos.means.values()), axis=1)
    statistics = {name: [] for name in videos.videos.means}
    num_frames, num_labels, mixed, residuals = [], [], [], []
    for video_id, labels, frames in itertools.chain.from_iterable(
        read_frames(path, -(-num_sampled // len(paths))) for path in paths
    ):
        scenes, lengths = videos.scenes(number_of_id[video_id])
        written = np.concatenate([dequantized(frames[name]).mean(axis=0) for name in statistics])
        residuals.append(np.mean((written - lengths @ means[scenes] / lengths.sum()) ** 2))
        num_frames.append(int(lengths.sum()))
        num_labels.append(len(labels))
        mixed.append(len(scenes) > 1)
        if num_frames[-1] >= MIN_FRAMES:
            for name in statistics:
                statistics[name].append(frame_statistics(frames[name]))
    return ReframedSummary(
        num_videos=len(num_frames),
        statistics={name: _means(rows) for name, rows in statistics.items() if rows},
        num_frames=num_frames,
        num_labels=num_labels,
        mixed_share=float(np.mean(mixed)),
        mean_residual=float(np.sqrt(np.mean(residuals))),
        mean_spread=float(np.sqrt(np.mean(np.var(means[: len(videos)], axis=0)))),
    )


def _means(rows):
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
