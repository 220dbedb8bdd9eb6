"""Parts that every `train_step` shares: sums over replicas and slices, the update, the figures of the training log."""

from __future__ import annotations

import tensorflow as tf

# The original logs Hit@1, PERR and GAP of the training batch at every tenth step.
METRICS_EVERY_STEPS = 10
_TOP_K = 20


def global_num_examples(labels):
    """Examples of this step over all replicas and slices, float32 scalar.

    Sums over examples divided by this number add up, over replicas, to the exact mean, also when the last batch of an
    epoch leaves replicas with fewer examples than others, or with none.
    """
    local = tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, local)


def global_num_labelled(labels, label_weights=None):
    """As `global_num_examples`, without the unlabelled: those whose only weight, in label_weights [B, 1], is 0."""
    if not _are_of_examples(label_weights):
        return global_num_examples(labels)
    local = tf.reduce_sum(label_weights)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, local)


def _are_of_examples(label_weights):
    """Whether the weights are those of whole examples, [B, 1], and not of their classes, [B, C]; C is at least 2."""
    return label_weights is not None and label_weights.shape[-1] == 1


def supervised_losses(model, label_loss, labels, outputs, label_weights=None):
    """Loss of each example against its labels, with what the model's classifier and its choice of frames add to it.

    Args:
      model: `VideoClassifier`.
      label_loss: function of `LABEL_LOSSES`.
      labels: [B, C].
      outputs: what `model.encode_and_classify` returned.
      label_weights: float32 [B, C] or None.

    Returns:
      float32 [B].
    """

    def loss(predictions):
        return label_loss(labels, predictions, label_weights)

    losses = loss(outputs["predictions"])
    if hasattr(model.classifier, "auxiliary_losses"):
        losses += model.classifier.auxiliary_losses(outputs, loss)
    return losses + model.selection_losses(outputs, labels)


def regularization_loss(model, num_slices=1):
    """The share of the model's summed L2 penalties that falls to one slice of this replica, float32 scalar."""
    total = tf.add_n(model.losses) if model.losses else tf.constant(0.0)
    return tf.cast(total, tf.float32) / (tf.distribute.get_strategy().num_replicas_in_sync * num_slices)


def sum_over_slices(function, slices):
    """Adds up what a function makes of each slice of a batch, holding the intermediate values of one slice at a time.

    The loop is unrolled into the graph: control flow may not hold the collectives of batch normalisation.

    Args:
      function: function of a slice -> nest of tensors and Nones; the Nones are the same for every slice.
      slices: iterable of slices, at least one.
    """
    total = None
    for part in slices:
        # Without this TensorFlow would start all slices at once, and need the memory of the whole batch.
        with tf.control_dependencies(_tensors(total)):
            result = function(part)
        total = result if total is None else tf.nest.map_structure(_sum, total, result)
    return total


def _tensors(nest):
    return [tensor for tensor in tf.nest.flatten(nest) if tensor is not None]


def _sum(one, other):
    return None if one is None else tf.add(one, other)


def update(optimizer, gradients, variables, loss, nonfinite_steps):
    """One optimizer update; variables that the loss does not reach are left alone.

    Args:
      optimizer: Keras optimizer.
      gradients: this replica's share of each variable's gradient, or None: the optimizer adds up the replicas'.
      variables: what to update.
      loss: this replica's share of the loss, not scaled.
      nonfinite_steps: `NonfiniteSteps`, which keeps NaN from the weights.
    """
    is_scaled = hasattr(optimizer, "get_unscaled_gradients")
    if is_scaled:
        gradients = optimizer.get_unscaled_gradients(gradients)
    gradients = nonfinite_steps.without_nonfinite(gradients, loss, optimizer.iterations, may_overflow=is_scaled)
    # The step counter must wait for the data: at the end of a pass there is none, and the step fails.
    with tf.control_dependencies([loss]):
        optimizer.apply_gradients([(g, v) for g, v in zip(gradients, variables) if g is not None])


def scaled(optimizer, loss):
    """The loss to differentiate: multiplied up where a mixed-float16 optimizer asks for it."""
    return optimizer.get_scaled_loss(loss) if hasattr(optimizer, "get_scaled_loss") else loss


def is_logged_step(step):
    """Whether the metrics of the batch after `step` updates are logged, bool scalar."""
    return tf.equal((tf.cast(step, tf.int64) + 1) % METRICS_EVERY_STEPS, 0)


def batch_metrics(step, labels, predictions, num_examples, label_weights=None):
    """This replica's share of Hit@1, PERR and GAP of the training batch; zeros at steps that are not logged.

    GAP pools the batch of each replica on its own and averages over replicas.

    Args:
      step: number of updates so far, integer scalar.
      labels: bool [B, C].
      predictions: float32 [B, C].
      num_examples: labelled examples over all replicas, float32 scalar (see `global_num_labelled`).
      label_weights: float32 [B, C] or [B, 1], or None. Predictions of unrated classes (weight 0) are 0, as in
        evaluation, and those of unlabelled examples, which have no labels, so that they do not count.

    Returns:
      Dict of float32 scalars that add up over replicas.
    """

    def compute():
        rated = predictions if label_weights is None else predictions * label_weights
        size = tf.reduce_sum(label_weights) if _are_of_examples(label_weights) else tf.shape(labels)[0]
        return _batch_metrics(tf.cast(labels, tf.float32), rated, tf.cast(size, tf.float32), num_examples)

    def skip():
        return {"hit_at_one": tf.constant(0.0), "perr": tf.constant(0.0), "gap": tf.constant(0.0)}

    return tf.cond(is_logged_step(step) & (tf.shape(labels)[0] > 0), compute, skip)


def _batch_metrics(labels, predictions, size, num_examples):
    """`size` is the share of this replica of `num_examples`; there may be none at all."""
    num_labels = tf.reduce_sum(labels, axis=-1)  # [B]
    num_ranks = tf.maximum(tf.cast(tf.reduce_max(num_labels), tf.int32), tf.minimum(_TOP_K, tf.shape(labels)[1]))
    scores, classes = tf.math.top_k(predictions, k=num_ranks)
    hits = tf.gather(labels, classes, batch_dims=1)  # [B, num_ranks]

    in_label_count = tf.sequence_mask(tf.cast(num_labels, tf.int32), num_ranks)
    found = tf.reduce_sum(tf.where(in_label_count & (scores > 0), hits, 0.0), axis=-1)

    top_k = tf.minimum(_TOP_K, num_ranks)
    order = tf.argsort(tf.reshape(scores[:, :top_k], [-1]), direction="DESCENDING")
    pooled_hits = tf.gather(tf.reshape(hits[:, :top_k], [-1]), order)
    precision = tf.cumsum(pooled_hits) / tf.range(1.0, tf.cast(tf.size(order), tf.float32) + 1)
    gap = tf.math.divide_no_nan(tf.reduce_sum(precision * pooled_hits), tf.reduce_sum(num_labels))
    return {
        "hit_at_one": tf.math.divide_no_nan(tf.reduce_sum(hits[:, 0]), num_examples),
        "perr": tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(found, num_labels)), num_examples),
        "gap": tf.math.divide_no_nan(gap * size, num_examples),
    }
