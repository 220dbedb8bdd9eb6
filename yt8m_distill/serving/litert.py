"""LiteRT (TensorFlow Lite) export: one video at a time on a phone or a board, and running what was exported."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import sys
import warnings

import numpy as np
import tensorflow as tf

from yt8m_distill.data import FrameSampler, RecordSchema
from yt8m_distill.data.atomic_file import atomic_directory, open_atomic
from yt8m_distill.models import VideoClassifier
from yt8m_distill.serving.litert_recurrence import litert_recurrence

MODEL_FILE = "model.tflite"
METADATA_FILE = "model.json"
PRECISIONS = ("float32", "float16", "int8")
_MAX_BYTES = 2**31 - 1


def export_litert(model: VideoClassifier, output_dir: str, precision: str = "float32") -> None:
    """Writes `model.tflite` and `model.json`, both or none.

    The model classifies one video at a time with LiteRT's built-in operations alone. It dequantises and normalises
    frames itself. Its signature:

      frames: uint8 [1, k, D], the k frames that the student reads, as the bytes in the records, all features side by
        side. `sample_frame_indices` says which, given what model.json holds. Rows past num_frames are ignored.
      num_frames: int32 [1], how many rows are frames: fewer than k for a video that has no more. A teacher reads all
        frames, k being max_frames.
      features (video-level models, instead): float32 [1, D] mean features.
      -> predictions: float32 [1, num_classes].

    `model.json` holds what an app must know: the layout of the records, the frame budget, and this signature.

    Args:
      model: a trained model.
      output_dir: where to write; must not exist, or be empty.
      precision: of the weights. `float32`; `float16`, which is computed in float32; or `int8`, dynamic range: matrices
        are stored in 8 bits and multiplied with values that are rounded to 8 bits as they come.

    Raises:
      FileExistsError: output_dir holds something.
      ValueError: unknown precision, a model too large for the format, or one with an operation that LiteRT lacks.
      ImportError: this tensorflow has no tf.lite.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}.")
    _check_size(model)
    with atomic_directory(output_dir) as directory:
        with open_atomic(os.path.join(directory, MODEL_FILE), "wb") as file:
            file.write(_convert(model, precision))
        with open_atomic(os.path.join(directory, METADATA_FILE)) as file:
            file.write(json.dumps(_metadata(model, precision), indent=2) + "\n")


class LiteRtModel:
    """Runs an exported model on the CPU. Works where a `VideoClassifier` does in `evaluate` and `predict_batches`.

    Args:
      directory: local directory that `export_litert` wrote.
      num_threads: CPU threads.

    Attributes:
      schema: layout of the records that the model reads.
      sampler: its frame budget, or None to read all frames.
      skips_padding: there is none, because videos run one by one.

    Raises:
      OSError, ValueError: the directory does not hold an exported model.
    """

    skips_padding = True

    def __init__(self, directory: str, num_threads: int = 1):
        with open(os.path.join(directory, METADATA_FILE), encoding="utf-8") as file:
            metadata = json.load(file)
        records, sampler = metadata["records"], metadata["frame_sampler"]
        for name in ("feature_names", "feature_sizes"):
            records[name] = tuple(records[name])
        self.schema = RecordSchema(**records)
        self.sampler = FrameSampler(**sampler) if sampler else None
        with _without_notes():
            self._interpreter = _tf_lite().Interpreter(os.path.join(directory, MODEL_FILE), num_threads=num_threads)
            self._interpreter.allocate_tensors()
            self._run = self._interpreter.get_signature_runner()
        self._shapes = {name: value["shape"] for name, value in metadata["inputs"].items()}

    def predict(self, frames) -> np.ndarray:
        """Predicts one video, float32 [num_classes].

        Args:
          frames: those that the model reads, uint8 [n, D], n from 0 to k; or float [D] features of a video-level model.
        """
        if not self.schema.frame_features:
            return self._run(features=np.asarray(frames, np.float32)[None])["predictions"][0]
        _, num_slots, width = self._shapes["frames"]
        padded = np.zeros([1, num_slots, width], np.uint8)
        padded[0, : len(frames)] = frames
        return self._run(frames=padded, num_frames=np.array([len(frames)], np.int32))["predictions"][0]

    def predictions_of(self, inputs: dict):
        """Predicts a batch of the pipeline, video by video: float32 tensor [B, num_classes]."""
        if not self.schema.frame_features:
            videos = inputs["features"].numpy()
        else:
            prefix = "" if self.sampler is None else "sampled_"
            lengths = inputs[f"num_{prefix}frames"].numpy()
            videos = [frames[:length] for frames, length in zip(inputs[f"{prefix}frames"].numpy(), lengths)]
        return tf.constant(np.stack([self.predict(video) for video in videos]))


def _tf_lite():
    """`tf.lite`, which is announced to leave tensorflow."""
    lite = getattr(tf, "lite", None)
    if not (hasattr(lite, "TFLiteConverter") and hasattr(lite, "Interpreter")):
        raise ImportError(f"LiteRT models need tf.lite, which tensorflow {tf.__version__} lacks and 2.15 to 2.21 have.")
    return lite


def _input_specs(model) -> dict:
    width = model.schema.feature_width
    if not model.schema.frame_features:
        return {"features": tf.TensorSpec([1, width], tf.float32)}
    config = model.model_config
    num_slots = config.max_frames if config.learned_selection else config.num_slots
    return {"frames": tf.TensorSpec([1, num_slots, width], tf.uint8), "num_frames": tf.TensorSpec([1], tf.int32)}


def _trace(model):
    """The prediction of one video as a graph of fixed shapes."""

    def predict(**inputs):
        if "frames" in inputs and not model.model_config.learned_selection:
            inputs = {"sampled_frames": inputs["frames"], "num_sampled_frames": inputs["num_frames"]}
        return {"predictions": model(inputs, training=False)["predictions"]}

    with litert_recurrence(model):
        return tf.function(predict).get_concrete_function(**_input_specs(model))


def _convert(model, precision) -> bytes:
    lite = _tf_lite()
    # Modules of tf.lite: only those who export need it.
    from tensorflow.lite.python.convert import ConverterError

    from yt8m_distill.serving.litert_float16 import keep_only_weights_in_float16

    module = tf.Module()
    module.weights = list(model.variables)  # not the Keras model, all of whose layers the converter would trace again
    converter = lite.TFLiteConverter.from_concrete_functions([_trace(model)], module)
    if precision != "float32":
        converter.optimizations = [lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        with _without_notes():
            content = converter.convert()
    except ConverterError as error:
        lacking = sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op nor a flex op", str(error))))
        reason = f"it lacks {', '.join(lacking)}" if lacking else str(error).split("\n")[0]
        raise ValueError(
            f"LiteRT cannot run this {model.name}: {reason}. Export it as a SavedModel, or with a smaller frame budget."
        ) from error
    return keep_only_weights_in_float16(content) if precision == "float16" else content


def _check_size(model):
    # The converter holds the weights as float32 in one message, whatever precision they get in the end.
    size = sum(variable.shape.num_elements() * variable.dtype.size for variable in model.variables)
    if size > _MAX_BYTES:
        raise ValueError(
            f"LiteRT cannot hold this {model.name}: its weights have {size / 1e9:.1f} GB in float32, and the converter "
            "takes no more than 2 GB. Train a smaller student, or export it as a SavedModel."
        )


def _metadata(model, precision):
    inputs = {name: {"dtype": spec.dtype.name, "shape": list(spec.shape)} for name, spec in _input_specs(model).items()}
    sampler = None
    if model.sampler is not None:
        sampler = dataclasses.asdict(dataclasses.replace(model.sampler, jitter=False))  # jitter is for training
    return {
        "model": model.name,
        "precision": precision,
        "records": dataclasses.asdict(model.schema),
        "frame_sampler": sampler,
        "inputs": inputs,
        "outputs": {"predictions": {"dtype": "float32", "shape": [1, model.schema.num_classes]}},
    }


@contextlib.contextmanager
def _without_notes():
    """Hides what LiteRT tells its developers; its C++ part writes to file descriptor 2 whatever the log level."""
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
