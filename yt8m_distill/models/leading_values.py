"""The first values of features, as "rgb:64,audio" names them: the principal components of rgb that vary the most."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def leading_values(text: str, feature_names: Sequence[str], feature_sizes: Sequence[int], flag: str) -> dict[str, int]:
    """How many values of each feature a text names; a feature without a number is meant whole.

    Args:
      text: names of features, each with `:` and a number if only so many of its first values are meant.
      feature_names, feature_sizes: those that there are.
      flag: where the text comes from, for the error.

    Raises:
      ValueError: no such feature, or it has not so many values.

    >>> leading_values("rgb:64,audio", ("rgb", "audio"), (1024, 128), "saliency_inputs")
    {'rgb': 64, 'audio': 128}
    """
    sizes, named = dict(zip(feature_names, feature_sizes)), {}
    for part in text.split(","):
        name, _, number = part.strip().partition(":")
        if name not in sizes:
            raise ValueError(f"{flag} must name features: {', '.join(feature_names)}. Received: {text!r}.")
        wanted = int(number) if number.isdecimal() else sizes[name] if not number else 0
        if not 0 < wanted <= sizes[name]:
            raise ValueError(f"{flag}: feature {name!r} has 1 to {sizes[name]} values to name. Received: {text!r}.")
        named[name] = wanted
    return named


def columns_of(named: dict[str, int], feature_names: Sequence[str], feature_sizes: Sequence[int]) -> list[int]:
    """The columns of a frame that hold these values, ascending."""
    starts = itertools.accumulate((0, *feature_sizes))
    return [start + column for start, name in zip(starts, feature_names) for column in range(named.get(name, 0))]
