"""Which k of a video's N frames a see-very-little model reads.

Every method is written once, in integer arithmetic that NumPy and TensorFlow share, so that
`sample_frame_indices`, the tf.data pipeline and the models all pick the same frames.

Sources: the selectors of "Efficient Video Classification Using Fewer Frames" (Bhardwaj et al., CVPR 2019), which
only names them. The authors' code defines `stride` (its `every_n`). The index formulas of the others are ours.
"""

from __future__ import annotations

import dataclasses
import fractions
import numbers

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp

METHODS = ("uniform", "stride", "random", "first", "middle", "last", "first_middle_last")

_HASH_RANGE = 2**31
_HASH_MULTIPLIERS = (0x45D9F3B, 0x119DE1F3, 0x2C1B3C6D)


@dataclasses.dataclass(frozen=True)
class FrameSampler:
    """A frame budget and the method that spends it.

    Exactly one budget is given. With N valid frames of a video it takes
      - `num_sampled_frames=k`: min(k, N) frames;
      - `frame_percent=p`: max(1, floor(N p / 100)) frames;
      - `every_n=j`: max(1, floor(N s / max_frames)) frames, with s = floor(max_frames / j);
    and none of a video without frames. Method `stride` always counts as `every_n` does.

    Attributes:
      method: `uniform` spreads the frames over the video: floor(i N / k).
        `stride` takes 0, j, 2j, ... whatever the length of the video, as the authors' code.
        `random` draws distinct frames, anew at each training step, by the video's seed otherwise.
        `first`, `middle`, `last` take one run of frames. `first_middle_last` takes three.
      num_sampled_frames: k.
      frame_percent: p, in (0, 100].
      every_n: j, at least 1.
      max_frames: frames of the longest video.
      jitter: method `uniform` only: in training, each frame is drawn anew from its share of the video, frames
        floor(i N / k) to floor((i + 1) N / k) - 1, instead of being the first of them.
      budgets: in training, the k of each video is drawn anew from these; `num_sampled_frames` is the largest of them.
        So one model learns to read any of them ("any-k").

    Raises:
      ValueError: unknown method, not exactly one budget, a budget out of range, a `stride` that does not divide
        `max_frames` (the authors' code then counts more slots than it fills), `jitter` of another method, or `budgets`
        that do not end with num_sampled_frames.
    """

    method: str = "uniform"
    num_sampled_frames: int | None = None
    frame_percent: float | None = None
    every_n: int | None = None
    max_frames: int = 300
    jitter: bool = False
    budgets: tuple[int, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "budgets", tuple(self.budgets))  # JSON gives lists back
        if self.method not in METHODS:
            raise ValueError(f"frame_sampling must be one of {', '.join(METHODS)}. Received: {self.method!r}.")
        budgets = {
            "num_sampled_frames": self.num_sampled_frames,
            "frame_percent": self.frame_percent,
            "every_n": self.every_n,
        }
        given = {name: value for name, value in budgets.items() if value is not None}
        if len(given) != 1:
            raise ValueError(
                "Give exactly one of num_sampled_frames, frame_percent and every_n. "
                f"Received: {', '.join(f'{name}={value}' for name, value in given.items()) or 'none'}."
            )
        ((name, value),) = given.items()
        highest = 100 if name == "frame_percent" else self.max_frames
        kind_of_number = numbers.Real if name == "frame_percent" else numbers.Integral
        is_number = isinstance(value, kind_of_number) and not isinstance(value, bool)
        if not is_number or not 0 < value <= highest:
            kind = "a number in (0, 100]" if name == "frame_percent" else f"a whole number from 1 to {highest}"
            raise ValueError(f"{name} must be {kind}. Received: {value!r}.")
        if self.method == "stride" and (self.spacing % 1 or self.max_frames % self.spacing):
            raise ValueError(
                f"Method 'stride' needs a spacing that divides max_frames={self.max_frames}; {name}={value} means "
                f"a spacing of {self.spacing:g} frames. Use method 'uniform', or a budget that divides."
            )
        if self.jitter and self.method != "uniform":
            raise ValueError(f"frame_jitter needs frame_sampling='uniform'. Received: {self.method!r}.")
        if self.budgets:
            self._check_budgets()

    @property
    def num_slots(self) -> int:
        """Frames taken of the longest video: the length of the sampled sequence, padding included."""
        if self.num_sampled_frames is not None:
            return self.num_sampled_frames
        if self.every_n is not None:
            return self.max_frames // self.every_n
        return max(1, int(self.max_frames * self._share))

    @property
    def spacing(self) -> float:
        """Distance in frames between neighbours for method `stride`; a whole number once validated."""
        if self.every_n is not None:
            return self.every_n
        if self.frame_percent is not None:
            return float(1 / self._share)
        return self.max_frames / self.num_sampled_frames

    @property
    def _share(self) -> fractions.Fraction:
        """`frame_percent` / 100 as the short fraction that is meant, so that integer products with it are exact."""
        return fractions.Fraction(self.frame_percent).limit_denominator(10**9) / 100

    def num_sampled(self, num_frames):
        """How many frames are taken of a video of `num_frames` frames; int64, same shape."""
        return self._count(np.asarray(num_frames, np.int64), np)

    def sample(self, num_frames, seed=0, training=False):
        """Picks frames of one video or of a batch of videos.

        Args:
          num_frames: valid frames of each video, integer, NumPy array or tf.Tensor of shape [...].
          seed: non-negative integer of shape [...] or scalar; read by method `random` and by jitter.
          training: whether to jitter and to draw from `budgets`, if the sampler does.

        Returns:
          indices: int64 [..., num_slots], ascending over the first `num_sampled` slots and 0 after them.
          num_sampled: int64 [...], how many slots hold a frame.
        """
        xp = tnp if tf.is_tensor(num_frames) or tf.is_tensor(seed) else np
        num_frames = xp.asarray(num_frames, dtype=np.int64)
        num_sampled = self._count(num_frames, xp)
        if self.budgets and training:
            num_sampled = xp.minimum(num_sampled, self._drawn_budget(seed, xp))
        slots = xp.arange(self.num_slots, dtype=np.int64)
        if self.jitter and training:
            indices = _jittered(slots, num_frames[..., None], num_sampled[..., None], seed, xp)
        else:
            indices = self._indices(slots, num_frames[..., None], num_sampled[..., None], seed, xp)
        in_use = slots < num_sampled[..., None]
        return xp.where(in_use, indices, xp.zeros_like(indices)), num_sampled

    def _count(self, num_frames, xp):
        if self.every_n is not None or self.method == "stride":
            wanted = num_frames * self.num_slots // self.max_frames
        elif self.frame_percent is not None:
            wanted = num_frames * self._share.numerator // self._share.denominator
        else:
            wanted = xp.zeros_like(num_frames) + self.num_slots
        # The authors' floor leaves a video shorter than the stride without any frame: take one.
        wanted = xp.minimum(xp.maximum(wanted, 1), self.num_slots)
        return xp.minimum(wanted, num_frames)

    def _drawn_budget(self, seed, xp):
        position = xp.asarray([self.max_frames], dtype=np.int64)  # of no frame: the draw is independent of theirs
        number = _draws(position, seed, xp)[..., 0] * len(self.budgets) // _HASH_RANGE
        return xp.take(xp.asarray(self.budgets, dtype=np.int64), number)

    def _check_budgets(self):
        ascending = tuple(sorted(set(self.budgets)))
        if self.num_sampled_frames is None or self.method == "stride":
            raise ValueError("frame_budgets go with num_sampled_frames, and not with frame_sampling='stride'.")
        whole = all(isinstance(budget, int) and not isinstance(budget, bool) for budget in self.budgets)
        if not whole or self.budgets != ascending or not 0 < ascending[0] <= ascending[-1] == self.num_sampled_frames:
            raise ValueError(
                "frame_budgets must be ascending numbers of frames, the last of them num_sampled_frames="
                f"{self.num_sampled_frames}. Received: {', '.join(map(str, self.budgets))}."
            )

    def _indices(self, slots, num_frames, num_sampled, seed, xp):
        """Indices [..., num_slots]; `num_frames` and `num_sampled` are [..., 1]."""
        if self.method == "uniform":
            return slots * num_frames // xp.maximum(num_sampled, 1)
        if self.method == "stride":
            return slots * int(self.spacing) + 0 * num_frames
        if self.method == "first":
            return slots + 0 * num_frames
        if self.method == "middle":
            return slots + (num_frames - num_sampled) // 2
        if self.method == "last":
            return slots + num_frames - num_sampled
        if self.method == "first_middle_last":
            return _first_middle_last(slots, num_frames, num_sampled, xp)
        return _random(slots, num_frames, num_sampled, seed, self.max_frames, xp)


def sample_frame_indices(
    num_frames, k=None, method="uniform", *, frame_percent=None, every_n=None, max_frames=300, seed=0
) -> np.ndarray:
    """Indices of the frames that a k-frame model reads of a video of `num_frames` frames.

    Args:
      num_frames: valid frames of the video, 0 to `max_frames`.
      k: frame budget; or give `frame_percent` or `every_n` instead (see `FrameSampler`).
      method: one of `METHODS`.
      frame_percent: budget in percent of the video's frames.
      every_n: budget of every n-th frame.
      max_frames: frames of the longest video.
      seed: which random draw; only method `random` reads it.

    Returns:
      Ascending distinct indices in [0, num_frames), int64 [number of sampled frames].

    Raises:
      ValueError: as `FrameSampler`, or `num_frames` is not in [0, max_frames].

    >>> sample_frame_indices(num_frames=170, k=6)
    array([  0,  28,  56,  85, 113, 141])
    """
    if not 0 <= num_frames <= max_frames:
        raise ValueError(f"num_frames must be from 0 to max_frames={max_frames}. Received: {num_frames}.")
    sampler = FrameSampler(method, k, frame_percent, every_n, max_frames)
    indices, num_sampled = sampler.sample(np.asarray(num_frames), np.asarray(seed))
    return indices[: int(num_sampled)]


def _first_middle_last(slots, num_frames, num_sampled, xp):
    first = (num_sampled + 2) // 3
    middle = (num_sampled - first + 1) // 2
    from_middle = slots - first + (num_frames - middle) // 2
    from_end = slots + num_frames - num_sampled
    parts = xp.where(slots < first, slots + 0 * num_frames, xp.where(slots < first + middle, from_middle, from_end))
    return xp.where(num_frames <= num_sampled, slots + 0 * num_frames, parts)


def _jittered(slots, num_frames, num_sampled, seed, xp):
    """One draw from each of `num_sampled` shares of the video, which do not overlap."""
    num_sampled = xp.maximum(num_sampled, 1)
    start, stop = slots * num_frames // num_sampled, (slots + 1) * num_frames // num_sampled
    return start + _draws(slots, seed, xp) * (stop - start) // _HASH_RANGE


def _draws(positions, seed, xp):
    """Pseudo-random int64 in [0, 2**31) for each position: [..., number of positions] for seeds of shape [...]."""
    stream = _hash(xp.asarray(seed, dtype=np.int64)[..., None] % _HASH_RANGE)
    return _hash((stream + positions * 0x1E3779B1) % _HASH_RANGE)


def _random(slots, num_frames, num_sampled, seed, max_frames, xp):
    """Distinct draws: the frames whose hash of (seed, position) is lowest, put back in order of time."""
    positions = xp.arange(max_frames, dtype=np.int64)
    rank = _draws(positions, seed, xp) + 0 * num_frames  # [..., max_frames]
    rank = xp.where(positions < num_frames, rank, xp.zeros_like(rank) + _HASH_RANGE)
    drawn = xp.argsort(rank * max_frames + positions, axis=-1)[..., : slots.shape[0]]
    drawn = xp.where(slots < num_sampled, xp.asarray(drawn, dtype=np.int64), xp.zeros_like(rank[..., :1]) + max_frames)
    return xp.sort(drawn, axis=-1)


def _hash(value):
    """Mixes int64 values below 2**31; the products stay below 2**63 in both libraries."""
    for multiplier in _HASH_MULTIPLIERS:
        value = (value ^ (value // 2**15)) * multiplier % _HASH_RANGE
    return value
