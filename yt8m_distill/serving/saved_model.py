"""SavedModel export: a model that takes raw records, for TensorFlow Serving and for programs without this package."""

from __future__ import annotations

import contextlib
import functools

import tensorflow as tf

from yt8m_distill.data import parse_frame_level, parse_video_level
from yt8m_distill.data.atomic_file import atomic_directory
from yt8m_distill.models import Ensemble, VideoClassifier

SAVED_MODEL_PRECISIONS = ("float32", "float16")


def export_saved_model(
    model: VideoClassifier | Ensemble, output_dir: str, top_k: int = 20, precision: str = "float32"
) -> None:
    """Writes a SavedModel, whole or not at all. It carries its own frame selection, dequantisation and normalisation.

    Signatures:
      serving_default: `example_bytes` string [N], serialized records -> `video_id` string [N], `class_indexes` int32
        [N, top_k] and `predictions` float32 [N, top_k], best first. Names as in the original's export_model.py; the
        original's frame-level export has a dimension of 1 after N, which this one has not. A model that chooses its
        frames also says which it has read: `frame_indices` int64 [N, k], the first `num_frames` int32 [N] of them.
      mediapipe (frame-level models): `rgb_and_audio` float32 [B, T, D], already dequantised, with `num_frames` int32
        [B] or [B, 1] -> `predictions` float32 [B, num_classes]. Names as in the original's MediaPipe export.
      features (video-level models): `features` float32 [B, D] -> `predictions` float32 [B, num_classes].

    Args:
      model: a trained model, or several as one.
      output_dir: where to write; must not exist, or be empty.
      top_k: classes that serving_default returns, at most num_classes.
      precision: of the weights in the file. `float16` halves it: matrices are cast to float32 at each use, which costs
        time and no memory of the disk; biases and statistics stay float32. All is computed in float32.

    Raises:
      FileExistsError: output_dir holds something.
      ValueError: top_k is out of range, unknown precision, or a weight that is too large for float16.
    """
    if precision not in SAVED_MODEL_PRECISIONS:
        raise ValueError(
            f"precision of a SavedModel must be one of {', '.join(SAVED_MODEL_PRECISIONS)}. Received: {precision!r}."
        )
    schema = model.schema
    if not 1 <= top_k <= schema.num_classes:
        raise ValueError(f"top_k must be from 1 to num_classes={schema.num_classes}. Received: {top_k}.")
    signatures = {"serving_default": _serving_default(model, top_k)}
    signatures.update({"mediapipe": _mediapipe(model)} if schema.frame_features else {"features": _features(model)})
    weights = list(model.variables)
    in_float16 = _float16_copies(weights) if precision == "float16" else {}
    module = tf.Module()
    # The weights alone: the signatures hold all there is to run, no Keras object is needed to load them.
    module.weights = [in_float16.get(number, weight) for number, weight in enumerate(weights)]
    with atomic_directory(output_dir) as directory, _read_from(in_float16, weights):
        tf.saved_model.save(module, directory, signatures=signatures)


def _serving_default(model, top_k):
    chooses = isinstance(model, VideoClassifier) and model.model_config.learned_selection
    parse = parse_video_level
    if model.schema.frame_features:
        parse = functools.partial(parse_frame_level, sampler=model.sampler)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="example_bytes")])
    def serve(example_bytes):
        with tf.device("CPU:0"):  # where strings are; a GPU would be asked for the small numbers between them
            parsed = parse(example_bytes, model.schema)
        video_ids = parsed.pop("video_ids")
        parsed.pop("labels")
        outputs = model.encode_and_classify(parsed, training=False) if chooses else model(parsed, training=False)
        predictions, classes = tf.math.top_k(outputs["predictions"], k=top_k)
        served = {"video_id": video_ids, "class_indexes": tf.cast(classes, tf.int32), "predictions": predictions}
        if chooses:
            served.update({name: outputs[name] for name in ("frame_indices", "num_frames")})
        return served

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


def _float16_copies(weights) -> dict:
    """Float16 copies of the matrices among the weights, by their number. The others are few and delicate."""
    copies = {}
    for number, weight in enumerate(weights):
        if weight.dtype != tf.float32 or weight.shape.rank < 2:
            continue
        copies[number] = tf.Variable(tf.cast(weight, tf.float16), trainable=False)
        if not tf.reduce_all(tf.math.is_finite(copies[number])):
            raise ValueError(
                f"Weight {weight.name} has values beyond float16's 65504, or none at all: "
                f"{tf.reduce_min(weight):g} to {tf.reduce_max(weight):g}. Export the model with precision='float32'."
            )
    return copies


@contextlib.contextmanager
def _read_from(copies, weights):
    """While open, graphs traced from a model read the copies in place of its weights."""
    for number, copy in copies.items():
        weights[number].value = weights[number].read_value = functools.partial(tf.cast, copy, tf.float32)
    try:
        yield
    finally:
        for number in copies:
            del weights[number].value, weights[number].read_value
