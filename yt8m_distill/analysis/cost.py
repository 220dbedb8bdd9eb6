"""What one video costs a model."""

from __future__ import annotations

from yt8m_distill.models import VideoClassifier


def model_cost(model: VideoClassifier, num_frames: int = 300) -> dict:
    """Counts the multiply-accumulates (MACs) of matrix products for one video, and the parameters.

    One MAC is one multiplication with its addition; element-wise operations are not counted. This is the convention of
    the "honest cost" of H-RNN: 5,874 million for the 300-frame teacher at 4716 classes, 416 million for k=10.

    Args:
      model: as `create_model` makes it.
      num_frames: frames of the video; a model with a frame budget reads fewer of them. Video-level models ignore it.

    Returns:
      Dict of `frames` (frames read), `macs` (total), `encoder_macs`, `classifier_macs` and `params`.
    """
    config = model.model_config
    frames = min(num_frames, config.max_frames) if config.frame_level else 1
    if config.sampler is not None:
        frames = int(config.sampler.num_sampled(frames))
    encoder = model.encoder.macs(frames)
    classifier = model.classifier.macs()
    return {
        "frames": frames,
        "macs": encoder + classifier,
        "encoder_macs": encoder,
        "classifier_macs": classifier,
        "params": model.count_params(),
    }
