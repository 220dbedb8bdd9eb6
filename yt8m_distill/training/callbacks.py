"""What happens between the steps of a training run: log lines, TensorBoard, checkpoints, the step limit."""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.models.training_step import METRICS_EVERY_STEPS
from yt8m_distill.stack import keras
from yt8m_distill.training.finite_check import FiniteCheck
from yt8m_distill.training.interruption import Interruption
from yt8m_distill.training.progress import Progress
from yt8m_distill.training.run_checkpoint import RunPosition


class RunCallback(keras.callbacks.Callback):
    """Counts steps, writes the log and TensorBoard events, saves checkpoints, stops at the step limit.

    Args:
      position: how far the run is; kept up to date.
      global_batch_size: examples of one step over all replicas.
      progress: where the log lines go; counts examples.
      summary_writer: TensorBoard writer, or None.
      save: function that writes a checkpoint.
      save_every_steps: steps between checkpoints.
      max_steps: stop at this step; None for no limit.
      finite_check: looks at the model's `nonfinite_steps` before anything is saved.
      interruption: what a signal that arrives during a step waits for.

    Attributes:
      done_before: examples of earlier passes, for the progress.
    """

    # Reading a log value waits for the device: Keras must leave that to us.
    _supports_tf_logs = True

    def __init__(
        self,
        position: RunPosition,
        global_batch_size,
        progress: Progress,
        summary_writer,
        save,
        save_every_steps,
        max_steps,
        finite_check: FiniteCheck,
        interruption: Interruption,
    ):
        super().__init__()
        self.position = position
        self.global_batch_size = global_batch_size
        self.progress = progress
        self.done_before = 0
        self.summary_writer = summary_writer
        self.save = save
        self.save_every_steps = save_every_steps
        self.max_steps = max_steps
        self.finite_check = finite_check
        self.interruption = interruption
        self._num_updates = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._take_stock()  # a run that goes on has made updates that this process knows nothing of

    def on_train_batch_end(self, batch, logs=None):
        self._num_updates += 1
        self.position.step += 1
        self.position.examples += self.global_batch_size
        self.progress.count(self.global_batch_size)
        step = self.position.step
        if batch == 0:
            # The first step of a pass may compile; wait for it, then time the rest.
            float(logs["loss"])
            self.progress.start_timing()
        if self._num_updates % METRICS_EVERY_STEPS == 0:
            self._take_stock()  # a step whose float16 gradients overflow counts no update
        if self._num_updates % METRICS_EVERY_STEPS == 0:
            self._log(step, {name: float(value) for name, value in logs.items()})
        if step % self.save_every_steps == 0:
            self.progress.stop_timing()
            self._take_stock()
            self.save()
            self.progress.start_timing()
        if self.max_steps and step >= self.max_steps:
            self.model.stop_training = True
        if self.interruption.is_requested:
            self._take_stock()
        self.interruption.check()

    def on_epoch_end(self, epoch, logs=None):
        self.progress.stop_timing()
        self._take_stock()

    def _take_stock(self):
        """Takes over the model's count of its optimizer's updates, and looks for steps that were not finite.

        The count starts anew when fine-tuning does. Not at every step: reading a variable waits for the device.
        """
        self._num_updates = int(self.model.optimizer.iterations.numpy())
        self.finite_check.look(self.model.nonfinite_steps, self.position.step, self._num_updates)

    def _log(self, step, logs):
        if self.progress.is_due():
            text = (
                f"training step {step} | Loss: {logs['loss']:.2f} Examples/sec: {self.progress.rate:.2f}"
                f" | Hit@1: {logs['hit_at_one']:.2f} PERR: {logs['perr']:.2f} GAP: {logs['gap']:.2f}"
            )
            if "kl" in logs:
                text += f" | Teacher's top-20: {logs['top_20_agreement']:.2f} KL: {logs['kl']:.2f}"
            if "reward" in logs:
                text += f" | Reward: {logs['reward']:.3f} Entropy: {logs['entropy']:.2f}"
            self.progress.show(self.done_before + self.position.examples, text)
        if self.summary_writer is None:
            return
        # The tags are the original's.
        scalars = {
            "label_loss": logs["loss"],
            "reg_loss": logs["reg_loss"],
            "learning_rate": self._learning_rate(),
            "model/Training_Hit@1": logs["hit_at_one"],
            "model/Training_Perr": logs["perr"],
            "model/Training_GAP": logs["gap"],
            "global_step/Examples/Second": self.progress.rate,
        }
        parts = {
            f"distillation/{name}": value
            for name, value in logs.items()
            if name != "reg_loss" and name.endswith(("_loss", "_agreement", "kl"))
        }
        parts.update({f"selection/{name}": logs[name] for name in ("reward", "entropy") if name in logs})
        with self.summary_writer.as_default(step=step):
            for name, value in {**scalars, **parts}.items():
                tf.summary.scalar(name, value)

    def _learning_rate(self):
        optimizer = self.model.optimizer
        rate = optimizer.learning_rate
        if callable(rate):  # a schedule, as optimizers of tensorflow-addons give it
            rate = rate(optimizer.iterations)
        return float(rate.numpy())
