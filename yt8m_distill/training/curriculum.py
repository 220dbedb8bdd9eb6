"""A curriculum of frames: a few-frame model starts on many frames and reads fewer from pass to pass."""

from __future__ import annotations

import dataclasses

from yt8m_distill.data.frame_sampling import FrameSampler


def frames_of_epoch(epoch: int, first: int, last: int, num_epochs: int) -> int:
    """Frames that the passes of a curriculum read: a geometric series from `first` to `last`.

    Ours; the idea is that of Bengio et al., "Curriculum Learning" (ICML 2009): what is easy, here much to see, first.

    Args:
      epoch: number of the pass, from 0.
      first: frames of the first pass.
      last: frames of pass number `num_epochs` and of those after it.
      num_epochs: passes of the curriculum.

    >>> [frames_of_epoch(epoch, 40, 5, 3) for epoch in range(5)]
    [40, 20, 10, 5, 5]
    """
    share = min(1.0, epoch / num_epochs) if num_epochs else 1.0
    return round(first * (last / first) ** share)


def sampler_of_epoch(sampler: FrameSampler, epoch: int, first: int, num_epochs: int) -> FrameSampler:
    """The frame budget of one pass.

    Args:
      sampler: the model's own, a number of frames.
      epoch: number of the pass, from 0.
      first: frames of the first pass; 0 for no curriculum.
      num_epochs: passes of the curriculum.
    """
    if not first:
        return sampler
    wanted = frames_of_epoch(epoch, first, sampler.num_sampled_frames, num_epochs)
    return dataclasses.replace(sampler, num_sampled_frames=wanted)


def check_curriculum(sampler: FrameSampler | None, first: int) -> None:
    """Raises what makes a curriculum impossible, before the run starts.

    Raises:
      ValueError: the model has no number of frames to come down to, more than `first`, or several; or `first` is more
        than there are.
    """
    if not first:
        return
    if sampler is None or sampler.num_sampled_frames is None or sampler.budgets or sampler.method == "stride":
        raise ValueError(
            "A curriculum comes down to one number of frames: give --num_sampled_frames, no --frame_budgets, and no "
            "--frame_sampling=stride."
        )
    if not sampler.num_sampled_frames <= first <= sampler.max_frames:
        raise ValueError(
            f"--curriculum_frames must be from num_sampled_frames={sampler.num_sampled_frames} to "
            f"max_frames={sampler.max_frames}. Received: {first}."
        )
