"""SavedModel export: a model that takes raw records, for TensorFlow Serving and for programs without this package."""

from __future__ import annotations

import functools

import tensorflow as tf

from yt8m_distill.data import parse_frame_level, parse_video_level
from yt8m_distill.data.atomic_file import atomic_directory
from yt8m_distill.models import Ensemble, VideoClassifier


def export_saved_model(model: VideoClassifier | Ensemble, output_dir: str, top_k: int = 20) -> None:
    """Writes a SavedModel, whole or not at all. It carries its own frame selection, dequantisation and normalisation.

    Signatures:
      serving_default: `example_bytes` string [N], serialized records -> `video_id` string [N], `class_indexes` int32
        [N, top_k] and `predictions` float32 [N, top_k], best first. Names as in the original's export_model.py; the
        original's frame-level export has a dimension of 1 after N, which this one has not.
      mediapipe (frame-level models): `rgb_and_audio` float32 [B, T, D], already dequantised, with `num_frames` int32
        [B] or [B, 1] -> `predictions` float32 [B, num_classes]. Names as in the original's MediaPipe export.
      features (video-level models): `features` float32 [B, D] -> `predictions` float32 [B, num_classes].

    Args:
      model: a trained model, or several as one.
      output_dir: where to write; must not exist, or be empty.
      top_k: classes that serving_default returns, at most num_classes.

    Raises:
      FileExistsError: output_dir holds something.
      ValueError: top_k is out of range.
    """
    schema = model.schema
    if not 1 <= top_k <= schema.num_classes:
        raise ValueError(f"top_k must be from 1 to num_classes={schema.num_classes}. Received: {top_k}.")
    module = tf.Module()
    # The weights alone: the signatures hold all there is to run, no Keras object is needed to load them.
    module.weights = list(model.variables)
    signatures = {"serving_default": _serving_default(model, top_k)}
    signatures.update(
        {"mediapipe": _mediapipe(model)} if schema.frame_features else {"features": _features(model)}
    )
    with atomic_directory(output_dir) as directory:
        tf.saved_model.save(module, directory, signatures=signatures)


def _serving_default(model, top_k):
    parse = parse_video_level
    if model.schema.frame_features:
        parse = functools.partial(parse_frame_level, sampler=model.sampler)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="example_bytes")])
    def serve(example_bytes):
        parsed = parse(example_bytes, model.schema)
        video_ids = parsed.pop("video_ids")
        parsed.pop("labels")
        predictions, classes = tf.math.top_k(model(parsed, training=False)["predictions"], k=top_k)
        return {
            "video_id": video_ids,
            "class_indexes": tf.cast(classes, tf.int32),
            "predictions": predictions,
        }

    return serve


def _mediapipe(model):
    width = model.schema.feature_width

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, width], tf.float32, name="rgb_and_audio"),
            tf.TensorSpec(None, tf.int32, name="num_frames"),
        ]
    )
    def classify(rgb_and_audio, num_frames):
        inputs = {"frames": rgb_and_audio, "num_frames": tf.reshape(num_frames, [-1])}
        return {"predictions": model(inputs, training=False)["predictions"]}

    return classify


def _features(model):
    width = model.schema.feature_width

    @tf.function(input_signature=[tf.TensorSpec([None, width], tf.float32, name="features")])
    def classify(features):
        return {"predictions": model({"features": features}, training=False)["predictions"]}

    return classify
