"""Frames that matter: which frames of a video each selector and a trained model read, and where its classes show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from yt8m_distill.data import evaluation_dataset
from yt8m_distill.data.frame_sampling import METHODS, FrameSampler
from yt8m_distill.models import VideoClassifier
from yt8m_distill.selection.usefulness import window_predictions

_MAX_WINDOWS = 100  # of one video
_NUM_PREDICTED = 3  # classes shown that the model finds, beside the video's labels
_NUM_LABELS = 4


@dataclasses.dataclass(frozen=True)
class VideoReading:
    """One video as a model reads it.

    Attributes:
      video_id: of the record.
      num_frames: of the video.
      predictions: of the whole video, float32 [C].
      labels: its classes, ascending.
      classes: those whose scores are given: the labels, and what the model predicts most.
      centers: place in the video of each window, float [W].
      scores: what the model predicts when it sees one window alone, float32 [W, classes].
      chosen: (title, frame indices) of each selector, and last of the model.
    """

    video_id: str
    num_frames: int
    predictions: np.ndarray
    labels: list[int]
    classes: list[int]
    centers: np.ndarray
    scores: np.ndarray
    chosen: list[tuple[str, np.ndarray]]


def read_videos(
    model: VideoClassifier, files: list[str], num_videos: int, num_sampled_frames: int, window: int
) -> Iterator[VideoReading]:
    """Reads the first videos of some files.

    Args:
      model: reads frames.
      files: paths of records.
      num_videos: how many; videos without frames are passed over.
      num_sampled_frames: frames that each selector is asked for.
      window: frames that the model sees at once for its scores along time.

    Raises:
      DataError: records that cannot be read, see `readable_errors`.
    """
    dataset = evaluation_dataset(files, model.schema, 1, None)
    for batch in dataset.filter(lambda batch: batch["num_frames"][0] > 0).take(num_videos):
        num_frames = int(batch["num_frames"][0])
        frames = batch["frames"][:, :num_frames]
        outputs = model.encode_and_classify({"frames": frames, "num_frames": batch["num_frames"]}, training=False)
        predictions = outputs["predictions"].numpy()[0]
        labels = np.flatnonzero(batch["labels"].numpy()[0]).tolist()
        best = np.argsort(-predictions, kind="stable")[:_NUM_PREDICTED].tolist()
        classes = list(dict.fromkeys([*labels[:_NUM_LABELS], *best]))
        centers, scores = scores_along_time(model, frames[0], window)
        read = _frames_read(model, outputs["frame_indices"].numpy()[0], int(outputs["num_frames"][0]), num_frames)
        yield VideoReading(
            batch["video_ids"].numpy()[0].decode("utf-8", "replace"),
            num_frames,
            predictions,
            labels,
            classes,
            centers,
            scores[:, classes],
            [*frames_of_selectors(num_frames, num_sampled_frames, model.max_frames), ("this model", read)],
        )


def _frames_read(model, first_frames, num_steps, num_frames):
    """Every frame that the model has read; it may take several in a step, of which it names the first."""
    if model.low_resolution is None:
        return first_frames[:num_steps]
    sampler = model.sampler
    return np.arange(num_frames)[: model.max_frames] if sampler is None else frames_of(sampler, num_frames)


def scores_along_time(model: VideoClassifier, frames, window: int) -> tuple[np.ndarray, np.ndarray]:
    """What a model predicts of a video's windows, each seen alone.

    Args:
      model: reads frames.
      frames: [T, D] of one video, T at least 1.
      window: frames of a window, at most T of them; windows overlap, and there are 100 at most.

    Returns:
      The middle of each window, float [W], and predictions float32 [W, C].
    """
    num_frames = int(frames.shape[0])
    window = min(window, num_frames)
    starts = np.unique(np.linspace(0, num_frames - window, _MAX_WINDOWS).round().astype(int))
    windows = tf.stack([frames[start : start + window] for start in starts])  # [W, window, D]
    lengths = tf.fill([len(starts)], window)
    return starts + (window - 1) / 2, window_predictions(model, windows, lengths).numpy()


def frames_of_selectors(num_frames: int, num_sampled_frames: int, max_frames: int) -> list[tuple[str, np.ndarray]]:
    """The frames that each selector reads of a video of `num_frames`: (its name, indices)."""
    return [
        (method, frames_of(FrameSampler(method, num_sampled_frames, max_frames=max_frames), num_frames))
        for method in METHODS
        if method != "stride" or max_frames % num_sampled_frames == 0  # it needs a whole number of frames between
    ]


def spread_evenly(num_frames: int, num_chosen: int) -> np.ndarray:
    """The frames that uniform sampling of `num_chosen` reads of a video of `num_frames`."""
    return frames_of(FrameSampler("uniform", num_chosen, max_frames=max(num_frames, num_chosen)), num_frames)


def frames_of(sampler: FrameSampler, num_frames: int, seed: int | None = None) -> np.ndarray:
    """The frames that a sampler reads of one video; with a seed, as one draw in training."""
    indices, count = sampler.sample(np.asarray(num_frames), seed or 0, training=seed is not None)
    return np.asarray(indices)[: int(count)]
