"""What a trained teacher is, in few words: enough to tell whether another one would say something else of a video."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import tensorflow as tf

from yt8m_distill.models import checkpoint_path, load_model_config

# Of these an evaluated model knows nothing.
_TRAINING_ONLY = ("frame_jitter", "frame_budgets")


def teacher_identity(train_dir: str, which: str = "latest") -> dict:
    """Describes a teacher as JSON: its model configuration, where it is not the default, and a digest of its weights.

    Teachers of one description read the same frames in the same order and give the same predictions. The weights are
    read from the checkpoint; no model is built.

    Args:
      train_dir: of the teacher.
      which: `latest` or `best` checkpoint.

    Raises:
      FileNotFoundError, ValueError: as `load_model_config` and `checkpoint_path`.
    """
    config = load_model_config(train_dir)
    settings = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _TRAINING_ONLY and getattr(config, field.name) != field.default
    }
    # A hyperparameter that a later version of the package adds does not make it another teacher.
    defaults = config.known_hyperparameters()
    given = {name: value for name, value in config.hyperparameters.items() if value != defaults[name]}
    settings["hyperparameters"] = given
    weights = _digest(checkpoint_path(train_dir, which))
    return json.loads(json.dumps({**settings, "weights": weights}))  # tuples are lists in JSON


def _digest(path):
    reader = tf.train.load_checkpoint(path)
    names = sorted(reader.get_variable_to_shape_map())
    digest = hashlib.sha256()
    for name in names:
        if name.startswith("model/") and ".OPTIMIZER_SLOT" not in name:
            values = reader.get_tensor(name)
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()[:16]
