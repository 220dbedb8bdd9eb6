"""FLOPs as "Efficient Video Classification Using Fewer Frames" (CVPR 2019) counts them, and the figures it published.

The convention is nowhere written down; it was found by fitting the published numbers, which it reproduces to their last
digit. One multiply-accumulate is one FLOP, and only visual features count. H-RNN is counted as if it were one flat
stacked LSTM over all frames, with its element-wise operations, and a logistic regression on its state; its hierarchy
and its mixture of experts are not counted. NeXtVLAD is counted without its attention and without all that follows the
pooling.
"""

from __future__ import annotations

import dataclasses

from yt8m_distill.models import VideoClassifier
from yt8m_distill.models.macs import macs_by_layer

_VISUAL_FEATURE = "rgb"
# Operations of an LSTM cell on vectors as long as its state: the bias of four gates, the forget bias, three sigmoids,
# two tanh, three products and a sum.
_ELEMENT_WISE = 4 + 1 + 3 + 2 + 3 + 1
_PRODUCTS_OF_NEXTVLAD = ("expand", "assignment", "weighted_sum")


@dataclasses.dataclass(frozen=True)
class PublishedFlops:
    """One published figure.

    Attributes:
      model: name in the zoo.
      frames: what it was published for.
      billions: the figure, with the three decimals that it has.
      counted_frames: the number of frames whose cost it is.
      note: what is inconsistent about it, if anything is.
    """

    model: str
    frames: int
    billions: float
    counted_frames: int
    note: str = ""


# The cost tables of the slides of the CVPR 2019 talk.
PUBLISHED = (
    PublishedFlops(
        "HierarchicalLstmModel",
        300,
        5.058,
        300,
        "5.058 is the cost of 300 frames; the table of SkipFrame gives it for 230.",
    ),
    PublishedFlops("HierarchicalLstmModel", 30, 0.520, 30),
    PublishedFlops(
        "HierarchicalLstmModel",
        20,
        0.268,
        15,
        "0.268 is published for k=20 and is the cost of 15 frames (every 20th of 300); 20 frames cost 0.352.",
    ),
    PublishedFlops(
        "HierarchicalLstmModel",
        10,
        0.167,
        9,
        "0.167 is published for k=10 and is the cost of 9 frames (300 / 33, rounded down?); 10 frames cost 0.184.",
    ),
    PublishedFlops("NeXtVLADModel", 300, 1.337, 300),
    PublishedFlops("NeXtVLADModel", 30, 0.134, 30),
)


def paper_flops(model: VideoClassifier, frames: int) -> int | None:
    """The FLOPs that the paper would state for a model that reads so many frames.

    Args:
      model: built; with or without values.
      frames: frames read.

    Returns:
      The FLOPs of H-RNN, NeXtVLAD, and mixtures of NeXtVLAD, all of whose branches count. None of other models, and of
      features without `rgb`.
    """
    config = model.model_config
    if _VISUAL_FEATURE not in config.feature_names:
        return None
    visual = config.feature_names.index(_VISUAL_FEATURE)
    if config.model == "HierarchicalLstmModel":
        return _flat_lstm_flops(config, config.feature_sizes[visual], frames)
    if config.model in ("NeXtVLADModel", "MixtureNeXtVLADModel"):
        paths = [(path.split("/"), macs) for path, macs in macs_by_layer([model.encoder], frames).items()]
        return sum(macs for path, macs in paths if f"pooling_{visual}" in path and path[-1] in _PRODUCTS_OF_NEXTVLAD)
    return None


def published_flops(model: VideoClassifier, frames: int) -> PublishedFlops | None:
    """What was published for a model that reads so many frames; None if nothing was, or for another size of it."""
    for published in PUBLISHED:
        if (published.model, published.frames) == (model.model_config.model, frames):
            flops = paper_flops(model, published.counted_frames)
            if flops is not None and round(flops / 1e9, 3) == published.billions:
                return published
    return None


def _flat_lstm_flops(config, input_width, frames):
    cells, num_layers = config.hyperparameters["lstm_cells"], config.hyperparameters["lstm_layers"]
    a_frame, width = 0, input_width
    for _ in range(num_layers):
        a_frame += 4 * cells * (width + cells) + _ELEMENT_WISE * cells
        width = cells
    state = 2 * cells * num_layers  # cell and hidden state of each layer
    return frames * a_frame + state * config.num_classes
