"""The training run: models and optimizers under a strategy, passes over the data, checkpoints, resuming."""

from __future__ import annotations

import contextlib
import logging
import os

import numpy as np
import tensorflow as tf

from yt8m_distill.data import readable_errors, reported_skipped_records, training_dataset
from yt8m_distill.distillation import Distiller
from yt8m_distill.models import ModelConfig, write_model_flags
from yt8m_distill.stack import keras
from yt8m_distill.training.best_score import BestScore
from yt8m_distill.training.callbacks import RunCallback
from yt8m_distill.training.curriculum import sampler_of_epoch
from yt8m_distill.training.evaluation import evaluate
from yt8m_distill.training.finite_check import FiniteCheck
from yt8m_distill.training.interruption import InterruptedAtOnce, Interruption
from yt8m_distill.training.progress import Progress
from yt8m_distill.training.run_checkpoint import RunCheckpoint, RunPosition, saved_position
from yt8m_distill.training.run_checks import check_run
from yt8m_distill.training.run_files import find_run_files
from yt8m_distill.training.strategy import computation_in, is_chief, lost_workers_named
from yt8m_distill.training.train_dir import CheckpointKeeper, prepare_train_dir, train_dir_in_use
from yt8m_distill.training.trainer import build_models, build_trainer, count_steps
from yt8m_distill.training.training_config import TrainingConfig
from yt8m_distill.training.weight_average import WeightAverage

_logger = logging.getLogger(__name__)

_TRAIN, _FINETUNE = 0, 1


def train(model_config: ModelConfig, config: TrainingConfig, strategy=None) -> dict:
    """Trains a model, or goes on training the one that the train_dir holds.

    Args:
      model_config: the model; the student, in a distillation.
      config: how to train it.
      strategy: tf.distribute strategy; None for the default device.

    Returns:
      Dict of `step`, `metrics` after the last pass (see `evaluate`; None without validation records), and
      `examples_per_second` of this call's last phase, without compiling, evaluating and saving; 0 if nothing was timed.

    Raises:
      DataError: input that cannot be read.
      TrainDirError: a train_dir that this run must not use.
      ValueError: a teacher that does not fit the student.
      WorkerLostError: another worker of the cluster has ended, or does not answer.
    """
    strategy = strategy or tf.distribute.get_strategy()
    files = find_run_files(model_config, config)
    check_run(model_config, config, is_chief(strategy))
    in_use = train_dir_in_use(config.train_dir) if is_chief(strategy) else contextlib.nullcontext()
    with reported_skipped_records(config.bad_records == "skip") as skipped, in_use:
        if is_chief(strategy):
            prepare_train_dir(model_config, config)
        keras.utils.set_random_seed(config.seed)
        with lost_workers_named(strategy), strategy.scope(), computation_in(config.mixed_precision):
            run = _Run(model_config, config, strategy, files, skipped)
        try:
            with lost_workers_named(strategy):
                return run.fit()
        except KeyboardInterrupt as interrupt:
            run.save_interrupted(interrupt)
            raise


class _Run:
    """One run: built under the strategy's scope, then fitted."""

    def __init__(self, model_config, config, strategy, files, skipped):
        self.config = config
        self.strategy = strategy
        self.files = files
        self.skipped = skipped
        self.global_batch_size = config.batch_size * config.gradient_accumulation_steps * strategy.num_replicas_in_sync
        self.position = RunPosition()
        self.teacher, self.student = build_models(model_config, config)
        self.trainer = self._build_trainer()
        self._traced_sampler = self.student.sampler
        self.average = None
        # What is evaluated, and what the checkpoints hold as `model`.
        self.model = self.student
        if config.ema_decay:
            self.model = model_config.build()
            self.average = WeightAverage(self.student, self.model, config.ema_decay, strategy)
        self.metrics = None
        self.best = BestScore(config.train_dir, "segment_map" if config.segment_labels else "gap")
        self._saved_step = None
        self._num_nonfinite = 0
        self._rate = 0.0
        self.interruption = Interruption()
        self._restore()

    def fit(self) -> dict:
        config, accumulated = self.config, self.config.gradient_accumulation_steps
        more = f" and {len(self.files.unlabelled)} unlabelled ones" if self.files.unlabelled else ""
        _logger.info("Number of training files: %d%s.", len(self.files.labelled), more)
        _logger.info(
            "Using batch size of %d for training: %d a replica on %d replica(s)%s.",
            self.global_batch_size,
            config.batch_size,
            self.strategy.num_replicas_in_sync,
            f", {accumulated} times" if accumulated > 1 else "",
        )
        if config.curriculum_epochs >= config.num_epochs:
            _logger.warning(
                "The %d passes end before the curriculum of %d: none reads --num_sampled_frames.",
                config.num_epochs,
                config.curriculum_epochs,
            )
        if self.position.phase == _TRAIN:
            self._fit_phase(_TRAIN, config.num_epochs)
            self._save_parallel_teacher()
        if config.finetune_epochs and not self._reached_max_steps():
            if self.position.phase == _TRAIN:
                self._begin_finetuning()
            self._fit_phase(_FINETUNE, config.finetune_epochs)
        self._take_averages()
        self.save()
        if self.metrics is None:  # the run was at its end before, but perhaps not its last evaluation
            self._evaluate()
        if self._num_nonfinite:
            _logger.warning("Left out %d steps whose loss or gradients were NaN or infinite.", self._num_nonfinite)
        reason = "step" if self._reached_max_steps() else "epoch"
        _logger.info("Done training -- %s limit reached.", reason)
        return {"step": self.position.step, "metrics": self.metrics, "examples_per_second": self._rate}

    def save_interrupted(self, interrupt: KeyboardInterrupt) -> None:
        """Saves what a signal has stopped, unless it did so in the middle of a step; says how to go on."""
        if not is_chief(self.strategy):
            _logger.warning("Interrupted at step %d; the first worker keeps the checkpoints.", self.position.step)
            return
        where = "here"
        if not isinstance(interrupt, InterruptedAtOnce):
            self.save()
        elif self._saved_step is not None:
            where = f"step {self._saved_step}"
        else:
            where = "the start"
        condition = " without --start_new_model" if self.config.start_new_model else ""
        _logger.warning(
            "Interrupted at step %d; the same command%s goes on from %s.", self.position.step, condition, where
        )

    def save(self) -> None:
        """Writes a checkpoint of everything that resuming needs."""
        if self._saved_step == self.position.step:
            return
        self.checkpoint.save()
        self._saved_step = self.position.step

    def _take_averages(self):
        """Gives the student the weights that an averaging optimizer (MovingAverage, SWA) kept beside its own."""
        assign = getattr(self.trainer.optimizer, "assign_average_vars", None)
        if assign is None or not int(self.trainer.optimizer.iterations.numpy()):
            return
        before = self.student.get_weights()
        assign(self.student.trainable_variables)
        if not all(map(np.array_equal, before, self.student.get_weights())):  # else the run was at its end before
            self._saved_step = None

    def _build_trainer(self):
        is_finetuning = self.position.phase == _FINETUNE
        teacher = None if is_finetuning else self.teacher
        files, batch_size = self.files, self.global_batch_size
        num_steps = count_steps(self.config, files.num_labelled, batch_size, is_finetuning, files.num_unlabelled)
        return build_trainer(teacher, self.student, self.config, batch_size, num_steps)

    def _restore(self):
        """Takes up the run that the train_dir holds, if it holds one."""
        path = tf.train.latest_checkpoint(self.config.train_dir)
        if path is not None:
            self.position = saved_position(path)
            if self.position.phase == _FINETUNE:
                self.trainer = self._build_trainer()
        self.checkpoint = self._make_checkpoint()
        if path is not None:
            self.checkpoint.restore(path)
            self._saved_step = self.position.step
            _logger.info("Going on from %s: step %d.", path, self.position.step)

    def _make_checkpoint(self):
        parts = {"model": self.model, "optimizer": self.trainer.optimizer}
        if self.average:
            parts["raw_model"] = self.student
        if isinstance(self.trainer, Distiller):
            if self.trainer.projection is not None:
                parts["projection"] = self.trainer.projection
            if self.trainer.teacher_optimizer is not None:
                parts.update(teacher=self.teacher, teacher_optimizer=self.trainer.teacher_optimizer)
        config = self.config
        return RunCheckpoint(config.train_dir, self.position, parts, config.keep_checkpoints, is_chief(self.strategy))

    def _begin_finetuning(self):
        _logger.info("Distillation done at step %d; fine-tuning the student on the labels.", self.position.step)
        self._take_averages()
        self.save()
        if self.average:
            # The distilled student is the averaged one. Fine-tuning starts from it, and averages anew.
            self.student.set_weights(self.model.get_weights())
        self.position.phase, self.position.epoch, self.position.examples = _FINETUNE, 0, 0
        with self.strategy.scope():
            self.trainer = self._build_trainer()
            self.checkpoint = self._make_checkpoint()

    def _fit_phase(self, phase, num_epochs):
        files = self.files
        records = files.num_labelled + (files.num_unlabelled if phase == _TRAIN else 0)
        progress = Progress(records * num_epochs)
        summaries = tf.summary.create_file_writer(self.config.train_dir) if is_chief(self.strategy) else None
        callback = RunCallback(
            self.position,
            global_batch_size=self.global_batch_size,
            progress=progress,
            summary_writer=summaries,
            save=self.save,
            save_every_steps=self.config.export_model_steps,
            max_steps=self.config.max_steps,
            finite_check=FiniteCheck(self.config.skip_nonfinite),
            interruption=self.interruption,
        )
        while self.position.epoch < num_epochs and not self._reached_max_steps():
            epoch = self.position.epoch
            callback.done_before = records * epoch
            try:
                videos = [*files.labelled, *files.unlabelled]
                with readable_errors(files.cache_files()), readable_errors(videos, self.student.schema):
                    self._fit_epoch(phase, epoch, callback)
            finally:
                progress.close()
            self._evaluate()  # before the pass counts as done: interrupted here, the run goes on here
            if not self._reached_max_steps():
                self.position.epoch, self.position.examples = epoch + 1, 0
        if summaries is not None:
            summaries.close()
        self._num_nonfinite += callback.finite_check.num_skipped
        self._rate = progress.rate

    def _fit_epoch(self, phase, epoch, callback):
        # The run may have stopped right at the end of a pass, and Keras fails on a dataset without a batch.
        # Not the dataset that is trained on: its second iterator would shuffle anew.
        if self.position.examples and next(iter(self._dataset(phase, epoch)), None) is None:
            return
        own, of_epoch = self.student.sampler, self._sampler_of(phase, epoch)
        if of_epoch != self._traced_sampler:
            self.trainer.make_train_function(force=True)  # the budget is part of the graph
            self._traced_sampler = of_epoch
        self.student.sampler = of_epoch
        try:
            self._fit_dataset(phase, epoch, callback)
        finally:
            self.student.sampler = own

    def _fit_dataset(self, phase, epoch, callback):
        # Keras cannot know how many steps a distributed dataset has; -1 lets the dataset end the pass.
        with self.interruption.deferred(), _silenced(logging.getLogger("tensorflow"), "will run indefinitely"):
            self.trainer.fit(
                self._dataset(phase, epoch),
                initial_epoch=epoch,
                epochs=epoch + 1,
                steps_per_epoch=-1,
                verbose=0,
                callbacks=[*filter(None, [self.average]), callback],  # averaged, then saved
            )

    def _dataset(self, phase, epoch):
        config, student_config = self.config, self.student.model_config
        is_distilling = self.trainer is not self.student
        cache = self.files.teacher_cache if is_distilling else None
        # A teacher that runs needs all frames, and the student picks its own from them on the device.
        teacher_runs = is_distilling and cache is None and config.distillation.needs_teacher
        sampler = None if teacher_runs else self._sampler_of(phase, epoch)
        data_epoch = epoch + (config.num_epochs if phase == _FINETUNE else 0)

        def worker_dataset(context):
            return training_dataset(
                self.files.labelled,
                student_config.schema,
                context.get_per_replica_batch_size(self.global_batch_size),
                sampler,
                seed=config.seed,
                epoch=data_epoch,
                num_readers=config.num_readers,
                num_workers=context.num_input_pipelines,
                worker_index=context.input_pipeline_id,
                skip_batches=self._batches_to_skip(context),
                segments=config.segment_labels,
                unlabelled_files=self.files.unlabelled if is_distilling else (),
                teacher_cache=cache,
                skipped=self.skipped,
            )

        return self.strategy.distribute_datasets_from_function(worker_dataset)

    def _sampler_of(self, phase, epoch):
        """The frame budget of one pass: the model's own, but for a curriculum."""
        first = self.config.curriculum_frames if phase == _TRAIN else 0
        sampler = self.student.model_config.sampler
        return sampler_of_epoch(sampler, epoch, first, self.config.curriculum_epochs)

    def _batches_to_skip(self, context):
        steps = self.position.examples // self.global_batch_size
        return steps * context.num_replicas_in_sync // context.num_input_pipelines

    def _evaluate(self):
        if not self.files.evaluation or not is_chief(self.strategy):
            return
        config = self.config
        self.metrics = evaluate(
            self.model,
            self.files.evaluation,
            config.batch_size,
            label_loss=config.label_loss,
            strategy=self.strategy,
            segments=config.segment_labels,
            skipped=self.skipped,
        )
        step = self.position.step
        _logger.info("step %d | %s", step, " | ".join(f"{k}: {v:.4f}" for k, v in self.metrics.items()))
        if self.best.is_beaten_by(self.metrics):
            self.checkpoint.keeper.save_best(step)
            self.best.replace(step, self.metrics)

    def _save_parallel_teacher(self):
        """Leaves the teacher that parallel training made as a train_dir of its own."""
        distillation = self.config.distillation
        if distillation is None or distillation.scheme != "parallel" or not is_chief(self.strategy):
            return
        directory = os.path.join(self.config.train_dir, "teacher")
        keeper = CheckpointKeeper(directory, tf.train.Checkpoint(model=self.teacher), self.teacher, keep=1)
        keeper.save(self.position.step)
        write_model_flags(directory, self.teacher.model_config, self.config.label_loss)

    def _reached_max_steps(self):
        return bool(self.config.max_steps) and self.position.step >= self.config.max_steps


@contextlib.contextmanager
def _silenced(logger, phrase):
    """Drops the log messages that hold `phrase`."""

    def keep(record):
        return phrase not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
