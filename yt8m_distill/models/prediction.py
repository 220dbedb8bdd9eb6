"""Running a model over a dataset, on all replicas of a tf.distribute strategy, records in order."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.data.pipeline import NOT_INPUTS
from yt8m_distill.models.length_buckets import in_length_buckets


def predict_batches(model, dataset, strategy=None):
    """Predicts every record of a dataset, in its order.

    Each batch is split over the local replicas; batches smaller than the number of replicas are fine. A batch is handed
    out when the next one is under way, so that a GPU works while its predictions are written or measured.

    Args:
      model: `VideoClassifier` or `Ensemble`.
      dataset: as `evaluation_dataset` makes it.
      strategy: tf.distribute strategy that the model was made under; None runs on the default device.

    Yields:
      Dicts of `predictions`, a tensor float32 [B, C] on the device that computed them, and of what the dataset holds
      beside the inputs, as NumPy arrays: `video_ids` object [B], `labels` bool [B, C]; of segments also `start_times`
      int64 [B] and `label_weights` float32 [B, C].
    """
    num_replicas = strategy.num_replicas_in_sync if strategy is not None else 1
    is_multi_worker = strategy is not None and strategy.extended._in_multi_worker_mode()
    if num_replicas == 1 or is_multi_worker:
        # Each worker of a multi-worker strategy reads its own copy of the weights, without the others.
        run = model.predictions_of
    else:
        run = _distributed(model.predictions_of, strategy)
    if not model.skips_padding:
        run = in_length_buckets(run)
    ahead = None
    for batch in dataset:
        inputs = {name: value for name, value in batch.items() if name not in NOT_INPUTS}
        others = {name: batch[name].numpy() for name in NOT_INPUTS if name in batch}
        predicted = {**others, "predictions": run(inputs)}
        if ahead is not None:
            yield ahead
        ahead = predicted
    if ahead is not None:
        yield ahead


def _distributed(predict, strategy):
    num_replicas = strategy.num_replicas_in_sync

    def run(inputs):
        batch_size = int(next(iter(inputs.values())).shape[0])
        bounds = np.linspace(0, batch_size, num_replicas + 1).round().astype(int)

        def replica_inputs(context):
            replica = context.replica_id_in_sync_group
            return {name: value[bounds[replica] : bounds[replica + 1]] for name, value in inputs.items()}

        parts = strategy.run(predict, args=(strategy.experimental_distribute_values_from_function(replica_inputs),))
        return tf.concat(strategy.experimental_local_results(parts), axis=0)

    return run
