"""Video-level features of made-up videos, narrow and spread as real ones are, for the tests of re-framing."""

from __future__ import annotations

import numpy as np

from yt8m_distill.data.reframing import VideoMeans

SIZES = {"rgb": 128, "audio": 32}


def made_means(num_videos=40, num_classes=6, seed=0) -> VideoMeans:
    """Videos `v000`, `v001` and so on, each with one or two labels."""
    rng = np.random.default_rng(seed)
    means = {
        name: np.clip(0.5 * rng.standard_normal((num_videos, size)), -1.9, 1.9).astype(np.float32)
        for name, size in SIZES.items()
    }
    labels = [sorted(set(rng.integers(num_classes, size=2).tolist())) for _ in range(num_videos)]
    return VideoMeans([f"v{number:03}" for number in range(num_videos)], labels, means)
