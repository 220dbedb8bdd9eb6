"""Training of the H-RNN: examples a second and peak memory of a teacher, a student and both schemes of distillation."""

from __future__ import annotations

import dataclasses
import statistics
import time
from concurrent.futures.process import BrokenProcessPool

from benchmarks.processes import in_fresh_process, peak_memory_mb
from benchmarks.timing import report_progress

MODEL = "HierarchicalLstmModel"


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of training step: of a `teacher`, of a `student` on labels, or of a `serial` or `parallel` scheme."""

    step: str
    precision: str
    batch_size: int


def measure(settings) -> list[dict]:
    """Rows by kind of step and precision; each case runs in a process of its own, through `fit` and the real pipeline.

    The first step, of one example, traces; it is not timed, nor is the first of full size if there is time for more.
    `time_ratio` is to the time an example takes in the first row, the teacher in full precision. Where memory does not
    suffice, the batch is halved until it does.
    """
    rows = []
    for step, precision in _steps_and_precisions(settings):
        report_progress(f"training: {step}, {precision}, batch {settings.training_batch_size}")
        rows.append(_measure_what_fits(settings, Case(step, precision, settings.training_batch_size)))
    return [{**row, "time_ratio": rows[0]["examples_per_s"] / row["examples_per_s"]} for row in rows]


def _steps_and_precisions(settings):
    if settings.smoke:
        return [("teacher", "none")]
    has_gpu = in_fresh_process(_has_gpu)
    precisions = ("none", "bfloat16", "float16") if has_gpu else ("none", "bfloat16")
    mixed = ("teacher", "student", "serial", "parallel") if has_gpu else ("teacher", "student")
    return [
        (step, precision)
        for step in ("teacher", "student", "serial", "parallel")
        for precision in (precisions if step in mixed else ("none",))
    ]


def _measure_what_fits(settings, case):
    while True:
        try:
            return in_fresh_process(measure_case, settings, case)
        except (BrokenProcessPool, MemoryError):
            if case.batch_size == 1:
                raise
            case = dataclasses.replace(case, batch_size=case.batch_size // 2)


def measure_case(settings, case: Case) -> dict:
    """Trains for some steps in this process."""
    import tensorflow as tf

    from yt8m_distill.stack import keras

    if case.precision != "none":
        keras.mixed_precision.set_global_policy(f"mixed_{case.precision}")
    trainer, sampler = _trainer(settings, case)
    timer = _step_timer(keras, settings.training_seconds)
    num_steps = 1 + settings.training_steps  # the first of full size allocates memory
    memory_before = peak_memory_mb()
    try:
        trainer.fit(_dataset(settings, sampler, case.batch_size, num_steps), verbose=0, callbacks=[timer])
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(str(error)) from None
    timed = timer.seconds[2:] or timer.seconds[1:]
    row = {
        "step": case.step,
        "frames": settings.max_frames if case.step == "teacher" else settings.budgets[0],
        "precision": case.precision,
        "batch_size": case.batch_size,
        "s_per_step": statistics.median(timed),
        "examples_per_s": case.batch_size / statistics.median(timed),
        "peak_memory_mb": peak_memory_mb(),
        "of_it_training_mb": peak_memory_mb() - memory_before,
        "steps_timed": len(timed),
    }
    if tf.config.list_physical_devices("GPU"):
        row["peak_gpu_memory_mb"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return row


def _trainer(settings, case):
    """The compiled Keras model, and what its input pipeline samples."""
    from yt8m_distill.distillation import DistillationConfig
    from yt8m_distill.models import ModelConfig
    from yt8m_distill.training import TrainingConfig
    from yt8m_distill.training.trainer import build_trainer

    def config(**budget):
        sizes = (settings.feature_names, settings.feature_sizes, settings.num_classes, settings.max_frames)
        return ModelConfig(MODEL, *sizes, **budget, hyperparameters=settings.models[MODEL])

    is_distillation = case.step in ("serial", "parallel")
    training = TrainingConfig(
        train_dir="unused",
        train_data_pattern="unused",
        batch_size=case.batch_size,
        mixed_precision=case.precision,
        distillation=DistillationConfig(case.step) if is_distillation else None,
        teacher_dir="unused" if case.step == "serial" else "",
    )
    teacher = config().build() if is_distillation else None
    trained = config() if case.step == "teacher" else config(num_sampled_frames=settings.budgets[0])
    model = trained.build()
    trainer = build_trainer(teacher, model, training, case.batch_size, num_steps=1000)
    return trainer, None if is_distillation else model.sampler


def _dataset(settings, sampler, batch_size, num_steps):
    """A batch of one video, then full ones."""
    from benchmarks.records import real_lengths, schema_of, write_records
    from yt8m_distill.data import training_dataset

    lengths = real_lengths(settings.videos_per_file, settings.max_frames)
    files = write_records(settings, "training", lengths, num_files=1)
    repeats = -(-num_steps * batch_size // settings.videos_per_file)
    full = training_dataset(files * repeats, schema_of(settings), batch_size, sampler).take(num_steps)
    return training_dataset(files, schema_of(settings), 1, sampler).take(1).concatenate(full)


def _step_timer(keras, patience):
    class StepTimer(keras.callbacks.Callback):
        """Notes the seconds of each step, data included; ends the training when patience is over.

        Attributes:
          seconds: of each step.
        """

        def on_train_begin(self, logs=None):
            self.seconds = []
            self._last = time.perf_counter()
            self._first_full = None

        def on_train_batch_end(self, batch, logs=None):
            now = time.perf_counter()
            self.seconds.append(now - self._last)
            self._last = now
            if batch == 0:
                self._first_full = now
            elif now - self._first_full > patience:
                self.model.stop_training = True

    return StepTimer()


def _has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
