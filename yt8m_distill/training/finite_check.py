"""What a run does about a loss that is NaN or infinite: it stops, or leaves the step out and says so."""

from __future__ import annotations

import logging

from yt8m_distill.models.nonfinite_steps import NonfiniteSteps

_logger = logging.getLogger(__name__)
_MOST_IN_A_ROW = 100


class NonfiniteLossError(ValueError):
    """The loss or its gradients are NaN or infinite. The message says at which step, and the ways out."""


class FiniteCheck:
    """Looks from time to time at what the device has noted of the steps since the last look.

    Args:
      skip: warn of such steps, which the device leaves out, instead of stopping.
    """

    def __init__(self, skip: bool):
        self.skip = skip
        self.num_skipped = 0
        self._num_updates = 0
        self._in_a_row = 0
        self._step_of_update = None

    def look(self, noted: NonfiniteSteps, step: int, num_updates: int) -> None:
        """Compares with the last look.

        Args:
          noted: of the model that is trained.
          step: of the run, from 1.
          num_updates: updates of this phase of the run, the one of this step included.

        Raises:
          NonfiniteLossError: a step was not finite and is not to be skipped, or a hundred in a row were not, or made no
            update, which is what float16 gradients do that are not finite.
        """
        if num_updates != self._num_updates or self._step_of_update is None:
            self._step_of_update = step
        elif step - self._step_of_update >= _MOST_IN_A_ROW:
            raise NonfiniteLossError(
                f"The gradients were NaN or infinite in each of the last {step - self._step_of_update} steps, up to "
                f"step {step}, whatever their scale. Lower --base_learning_rate, or use another --mixed_precision."
            )
        new = int(noted.count.numpy()) - self.num_skipped
        updates = num_updates - self._num_updates
        self._num_updates, self.num_skipped = num_updates, self.num_skipped + new
        if not new:
            self._in_a_row = 0
            return
        if not self.skip:
            first = step - (num_updates - 1 - int(noted.first.numpy()))
            raise NonfiniteLossError(
                f"The loss or its gradients were NaN or infinite at step {first}. Any checkpoint is from before "
                "that. Lower --base_learning_rate, or leave such steps out with --skip_nonfinite."
            )
        self._in_a_row = self._in_a_row + new if new >= updates else 0
        _logger.warning(
            "Step %d: the loss or its gradients were NaN or infinite in %d of the last %d steps, which are left out; "
            "%d so far.",
            step,
            new,
            updates,
            self.num_skipped,
        )
        if self._in_a_row >= _MOST_IN_A_ROW:
            raise NonfiniteLossError(
                f"The loss or its gradients were NaN or infinite in each of the last {self._in_a_row} steps, up to "
                f"step {step}: nothing is learned any more. Lower --base_learning_rate, or start from an earlier "
                "checkpoint."
            )
