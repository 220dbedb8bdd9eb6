"""What a run of the benchmark measures: full-size models and records, or tiny ones to see that all of it works."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes and patience of every section.

    Attributes:
      work_dir: an existing folder for records, submissions and train_dirs.
      smoke: everything is tiny; the figures mean nothing.
      feature_names, feature_sizes, num_classes, max_frames: of the records.
      num_files, videos_per_file: of the records; every file has the same number of frames.
      num_readers: files read at once, where a section does not say otherwise.
      models: hyperparameters by model, for inference; the defaults of the zoo where there are none.
      budgets: numbers of frames that students read, the first one being that of training.
      selection_model, selection_hyperparameters, selection_frames: the recurrent network for which frames are chosen,
        and how many.
      reader_budgets: numbers of frames that readers pick, the first one being that of the original's way.
      reader_batch_size, inference_batch_size, training_batch_size, metrics_batch_size: videos a batch.
      seconds_a_pass: how long one timed pass should take; more videos are read until it does.
      rounds: timed passes of each case, all cases in turn, after one that says how long they must be; the best counts.
      training_steps: steps timed of each case.
      training_seconds: no further step is begun after so long.
      metrics_batches: batches of a whole evaluation, of the metrics and of plain Python.
      metrics_large_batches: batches of the evaluation that shows memory and time at the size of the dataset.
      memory_files, memory_videos_per_file, memory_max_frames: the shards of the long run.
      memory_epochs: passes over them in training.
      startup_repeats: how often each command is started; the best time counts.
    """

    work_dir: str
    smoke: bool = False
    feature_names: tuple[str, ...] = ("rgb", "audio")
    feature_sizes: tuple[int, ...] = (1024, 128)
    num_classes: int = 3862
    max_frames: int = 300
    num_files: int = 2
    videos_per_file: int = 256
    num_readers: int = 8
    models: dict = dataclasses.field(
        default_factory=lambda: {"HierarchicalLstmModel": {}, "NeXtVLADModel": {}, "NetVLADModelLF": {}}
    )
    budgets: tuple[int, ...] = (30, 20, 15, 10, 6)
    selection_model: str = "LstmModel"
    selection_hyperparameters: dict = dataclasses.field(default_factory=dict)
    selection_frames: int = 10
    reader_budgets: tuple[int, ...] = (30, 10)
    reader_batch_size: int = 128
    inference_batch_size: int = 256
    training_batch_size: int = 128
    metrics_batch_size: int = 1024
    seconds_a_pass: float = 2.0
    rounds: int = 2
    training_steps: int = 3
    training_seconds: float = 60.0
    metrics_batches: int = 8
    metrics_large_batches: int = 256
    memory_files: int = 200
    memory_videos_per_file: int = 50
    memory_max_frames: int = 40
    memory_epochs: int = 16
    startup_repeats: int = 3

    @classmethod
    def for_smoke(cls, work_dir: str) -> Settings:
        """The same with tiny models and records, in seconds."""
        return cls(
            work_dir,
            smoke=True,
            feature_sizes=(16, 8),
            num_classes=30,
            max_frames=20,
            num_files=2,
            videos_per_file=4,
            num_readers=2,
            models={"HierarchicalLstmModel": {"lstm_cells": 4, "lstm_layers": 1}},
            budgets=(6,),
            selection_hyperparameters={"lstm_cells": 4, "lstm_layers": 1},
            selection_frames=6,
            reader_budgets=(6,),
            reader_batch_size=4,
            inference_batch_size=4,
            training_batch_size=4,
            metrics_batch_size=32,
            seconds_a_pass=0.0,
            rounds=0,
            training_steps=1,
            training_seconds=0.0,
            metrics_batches=2,
            metrics_large_batches=2,
            memory_files=2,
            memory_videos_per_file=4,
            memory_max_frames=6,
            memory_epochs=1,
            startup_repeats=1,
        )
