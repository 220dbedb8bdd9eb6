"""Starting the weights of one model from those of another."""

from __future__ import annotations

from yt8m_distill.models.batch_normalization import BatchNormalization
from yt8m_distill.models.video_classifier import VideoClassifier
from yt8m_distill.stack import keras


def warm_start(model: VideoClassifier, source: VideoClassifier, subject: str) -> None:
    """Copies encoder and classifier from a model of the same architecture.

    The number of blocks and which frames are read, and how many, may differ: none of these weights depends on them.
    The moving averages of batch normalisation start anew from the source's, because a few frames have other statistics
    than all of them.

    Args:
      model: what is to start from the other's weights.
      source: whose weights they are.
      subject: who needs them, for the error.

    Raises:
      ValueError: the weights differ in number or shape.
    """
    if not can_warm_start(model, source):
        raise ValueError(
            f"{subject} needs weights of its own shapes, but the shapes differ: "
            f"{_shapes(source)} there, {_shapes(model)} here."
        )
    values = keras.backend.batch_get_value(_weights(source))
    keras.backend.batch_set_value(list(zip(_weights(model), values)))
    for layer in model.submodules:
        if isinstance(layer, BatchNormalization):
            layer.num_updates.assign(0.0)


def can_warm_start(model: VideoClassifier, source: VideoClassifier) -> bool:
    """Whether the weights of the source's encoder and classifier fit the model."""
    return _shapes(model) == _shapes(source)


def _shapes(model):
    return [tuple(weight.shape) for weight in _weights(model)]


def _weights(model):
    """Those of encoder and classifier. Keras lists them in another order where they are frozen; here they are not."""
    weights = []
    for part in (model.encoder, model.classifier):
        is_trainable = part.trainable
        part.trainable = True
        weights += part.weights
        part.trainable = is_trainable
    return weights
