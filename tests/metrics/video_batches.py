"""Hypothesis strategies for small sets of videos: predictions float32 [B, C] and labels bool [B, C]."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

TIED = st.integers(-2, 3).map(lambda quarter: np.float32(quarter / 4))
ANY = st.floats(-10, 10, width=32)


@st.composite
def videos(draw, elements=TIED, unique=False, max_videos=4, max_classes=5):
    """Predictions and labels; with `TIED` elements most predictions tie, with `unique` none."""
    shape = (draw(st.integers(1, max_videos)), draw(st.integers(2, max_classes)))
    predictions = draw(arrays(np.float32, shape, elements=elements, unique=unique))
    return predictions, draw(arrays(bool, shape))


any_videos = st.one_of(videos(), videos(ANY, unique=True, max_videos=8, max_classes=8))
