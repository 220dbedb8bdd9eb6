"""What one video costs a model: multiply-accumulates, weights, bytes of the record."""

from __future__ import annotations

import math
from collections.abc import Sequence

from yt8m_distill.analysis.paper_convention import paper_flops, published_flops
from yt8m_distill.models import ModelConfig, VideoClassifier
from yt8m_distill.models.low_resolution import FULL_BITS
from yt8m_distill.models.macs import macs_by_layer
from yt8m_distill.models.shapes import build_without_values

_BYTES_OF_A_MEAN = 4  # video-level records hold float32, frame-level ones a byte a value


def model_cost(model: VideoClassifier, num_frames: int = 300) -> dict:
    """Counts what one video costs a model, from the shapes of its weights.

    One multiply-accumulate (MAC) is one multiplication with its addition in a matrix product; element-wise operations
    are not counted. This is the convention of the "honest cost" of H-RNN: 5,874 million for the 300-frame teacher at
    4716 classes, 416 million for k=10. The paper counts otherwise: see `paper_flops`.

    Args:
      model: as `create_model` makes it, or `build_without_values`.
      num_frames: frames of the video; a model with a frame budget reads fewer of them. Video-level models ignore it.

    Returns:
      Dict of
        frames: frames read, at most; 1 for a video-level model, which reads their mean;
        macs: MACs of the whole model, and of its parts: selection_macs (of a network that chooses the frames),
          encoder_macs, classifier_macs;
        num_choices: how often the network that chooses is asked: selection_macs are of all its answers;
        layers: MACs by layer, e.g. `encoder/frame_lstm/lstm_0`; they add up to `macs`;
        paper_flops: the FLOPs that the paper would state, or None where its convention says nothing;
        params: values of all weights, with the moving averages of batch normalisation;
        trainable_params: values that training changes, without these;
        weights_bytes: bytes of all weights as the model holds them;
        bytes_read: bytes of the record's features that the model sees: a byte a value of each frame read, less at a
          lower `bit_depth`, and of what others show to a network that chooses among them; or the float32 means of a
          video-level record;
        record_bytes: bytes of these features in the whole record.
    """
    config = model.model_config
    frames = config.num_read(num_frames)
    available = min(num_frames, config.max_frames) if config.frame_level else 1
    selection = model.selection_macs(available)
    steps = -(-frames // config.hyperparameters.get("frame_pooling", 1))
    encoder = macs_by_layer([model.encoder], steps)
    classifier = macs_by_layer([model.classifier])
    bytes_of_a_row = config.schema.feature_width * (1 if config.frame_level else _BYTES_OF_A_MEAN)
    seen_of_a_row = bytes_of_a_row
    if config.frame_level:
        seen_of_a_row = sum(config.seen_feature_sizes) * config.hyperparameters["bit_depth"] / FULL_BITS
    return {
        "frames": frames,
        "macs": sum(selection.values()) + sum(encoder.values()) + sum(classifier.values()),
        "selection_macs": sum(selection.values()),
        "num_choices": model.num_choices(available),
        "encoder_macs": sum(encoder.values()),
        "classifier_macs": sum(classifier.values()),
        "layers": {**selection, **encoder, **classifier},
        "paper_flops": paper_flops(model, steps),
        "params": model.count_params(),
        "trainable_params": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "weights_bytes": sum(math.prod(weight.shape) * weight.dtype.size for weight in model.weights),
        "bytes_read": round(frames * seen_of_a_row) + max(0, available - frames) * model.num_values_scored,
        "record_bytes": (num_frames if config.frame_level else 1) * bytes_of_a_row,
    }


def cost_rows(configs: Sequence[ModelConfig]) -> list[dict]:
    """What a video of full length costs one model with different frame budgets, without building their weights.

    Args:
      configs: of one model that differ in the frames that they read; the first is the one that the others are compared
        with, such as the teacher.

    Returns:
      A dict for each: that of `model_cost`, and
        model: its name;
        share: its MACs as a share of the first one's;
        published: the `PublishedFlops` of this model and number of frames, or None.
    """
    rows, model = [], None
    for config in configs:
        # Most networks stay as they are with another budget, and need not be built again.
        if model is None or not _has_weights_of(config, model):
            model = build_without_values(config)
        model.model_config = config
        cost = model_cost(model, config.max_frames)
        share = cost["macs"] / rows[0]["macs"] if rows else 1.0
        published = published_flops(model, cost["frames"])
        rows.append({"model": config.model, **cost, "share": share, "published": published})
    return rows


def _has_weights_of(config, model):
    """Whether a model has the layers and widths that a configuration asks for; a budget changes the blocks of H-RNN."""
    other = model.model_config
    return (
        config.seen_feature_sizes == other.seen_feature_sizes
        and config.learned_selection is other.learned_selection
        and config.assemble().encoder.get_config() == model.encoder.get_config()
    )
