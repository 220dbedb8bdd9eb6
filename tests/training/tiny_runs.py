"""Runs small enough for tests: records, model and training configurations, and what a run left behind."""

from __future__ import annotations

import tensorflow as tf

from tests.records import make_videos, write_videos
from yt8m_distill.data import RecordSchema
from yt8m_distill.models import ModelConfig, write_model_flags
from yt8m_distill.training import TrainingConfig

MEANS = RecordSchema(("mean_rgb",), (4,), frame_features=False, num_classes=3)
FRAMES = RecordSchema(("rgb",), (4,), frame_features=True, num_classes=3, max_frames=8)


def write_shards(folder, schema=MEANS, count=22, num_shards=2, seed=0) -> str:
    """Writes `count` records and returns the glob of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_videos(folder, make_videos(schema, count, seed=seed), schema, num_shards)
    return str(folder / "*.tfrecord")


def model_config(model="LogisticModel", schema=MEANS, **changes) -> ModelConfig:
    """The model on the records of a schema; `changes` are fields of `ModelConfig`."""
    fields = ("feature_names", "feature_sizes", "num_classes", "max_frames")
    return ModelConfig(**{"model": model, **{name: getattr(schema, name) for name in fields}, **changes})


def training_config(train_dir, pattern="unused", **changes) -> TrainingConfig:
    """One pass in batches of 8, by SGD; `changes` are fields of `TrainingConfig`."""
    settings = {"batch_size": 8, "num_epochs": 1, "optimizer": "SGD", **changes}
    return TrainingConfig(str(train_dir), pattern, **settings)


def checkpoint_steps(directory) -> list[int]:
    """The steps of the checkpoints in a directory."""
    return sorted(int(path.stem.rpartition("-")[2]) for path in directory.glob("model.ckpt-*.index"))


def checkpoint_values(directory) -> dict:
    """All variables of a directory's latest checkpoint, by name: weights, optimizer slots, step count, position."""
    path = tf.train.latest_checkpoint(str(directory))
    reader = tf.train.load_checkpoint(path)
    names = [name.replace("/.ATTRIBUTES/VARIABLE_VALUE", "") for name, _ in tf.train.list_variables(path)]
    names = [name for name in names if not name.startswith(("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter"))]
    return {name: reader.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE") for name in names}


def read_scalars(directory) -> dict:
    """TensorBoard scalars of a directory: tag -> list of (step, value)."""
    scalars = {}
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return scalars


def save_model(directory, model, step=1) -> None:
    """Makes a train_dir of a model as it is: flags and weights, without a run."""
    write_model_flags(str(directory), model.model_config, "CrossEntropyLoss")
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model), str(directory), None, checkpoint_name="model.ckpt"
    )
    manager.save(checkpoint_number=step)
