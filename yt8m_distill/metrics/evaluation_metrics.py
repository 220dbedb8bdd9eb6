"""Metrics of a whole evaluation, accumulated batch by batch."""

from __future__ import annotations

import numpy as np

from yt8m_distill.metrics import batch_metrics
from yt8m_distill.metrics.average_precision import average_precision
from yt8m_distill.metrics.checks import binary_labels, check_batch, check_finite, check_top_k
from yt8m_distill.metrics.class_average_precision import entry_dtype, mean_average_precision
from yt8m_distill.metrics.growing_array import GrowingArray


class EvaluationMetrics:
    """Hit@1, PERR, mAP and GAP of videos that arrive in batches, as the YouTube-8M starter code defines them.

    The results are exact and depend on the set of videos alone: they are the same to the last bit for any
    batching and any order. (Only the mean loss, a sum of rounded numbers, may differ in its last digits.)
    Ties obey two rules. Within a video, tied predictions rank by ascending class index. Among videos, tied
    predictions are averaged over all their orders, see `average_precision`.

    GAP and mAP see only the `top_k` best classes of every video, but count all labels as positives:

    - gap: AP of one list that pools these classes of all videos.
    - map: AP of every class' own entries in that pool, averaged over the classes that have labels. A class
      whose labels never made a `top_k` contributes 0. (So this is not the mAP of complete rankings.)

    Memory: 7 bytes for each of `top_k` entries a video. For 1.1 million videos and the default of 20, that is
    154 MB, 0.3 GB while the storage grows, and 0.7 GB while `result()` runs, which takes seconds.

    Args:
        num_classes: C, the size of the vocabulary, at least 2.
        top_k: classes kept per video for GAP and mAP, at least 1; above `num_classes` it means all.

    Raises:
        ValueError: for a `num_classes` or `top_k` out of range.

    Example:
        >>> metrics = EvaluationMetrics(num_classes=3, top_k=2)
        >>> batch = metrics.accumulate([[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]], [[1, 0, 0], [0, 1, 1]])
        >>> metrics.result()["gap"]
        0.5

    Source: `eval_util.EvaluationMetrics` of the starter code, whose GAP and mAP of tied predictions depend on
    the order of the videos.
    """

    def __init__(self, num_classes=3862, top_k=20):
        if num_classes <= 1:
            raise ValueError(f"`num_classes` must be at least 2. Received: num_classes={num_classes}.")
        self.num_classes = num_classes
        self.top_k = check_top_k(top_k, num_classes)
        self.clear()

    def clear(self):
        """Forgets all videos."""
        self._entries = GrowingArray(entry_dtype(self.num_classes))
        self._num_examples = 0
        self._num_labels_of_class = np.zeros(self.num_classes, np.int64)
        self._num_hits_at_one = 0
        # PERR hits of all videos with n labels, for every n: integers, whose sums do not depend on any order.
        self._equal_recall_hits = np.zeros(self.num_classes + 1, np.int64)
        self._loss_sum = 0.0
        self._has_loss = None  # until the first batch decides

    def accumulate(self, predictions, labels, loss=None):
        """Adds a batch of B videos; B may be 0.

        Args:
            predictions: real numbers, shape [B, num_classes]; ranked and kept as float32.
            labels: bool or 0/1, shape [B, num_classes].
            loss: losses of the videos, shape [B]; for all batches or for none.

        Returns:
            dict of the means of this batch: "hit_at_one", "perr", and "loss" if given. NaN if B is 0.

        Raises:
            ValueError: for other shapes, predictions that are NaN or infinite, labels other than 0 and 1
                (naming the first row and column), or a loss given for some batches only. Nothing is added.
        """
        predictions, positives = check_batch(predictions, labels, self.num_classes)
        num_labels = batch_metrics.count_labels(positives)
        ranked = batch_metrics.rank_batch(predictions, positives, self._depth(num_labels))
        return self._accumulate(ranked, positives, num_labels, loss)

    def accumulate_ranked(self, classes, predictions, labels, loss=None):
        """Adds a batch of B videos whose best classes are known, as a GPU finds them where the predictions are.

        Args:
            classes: indices of the best classes of every video, best first, ties to the lowest; integers, shape
                [B, depth], depth being `depth_of(labels)` or more.
            predictions: their predictions, real numbers, shape [B, depth].
            labels, loss: as of `accumulate`.

        Returns:
            As `accumulate`.

        Raises:
            ValueError: as `accumulate`, and for too small a depth. The ranking itself is not checked.
        """
        positives = binary_labels(labels)
        classes, predictions = np.asarray(classes), np.asarray(predictions, np.float32)
        num_labels = batch_metrics.count_labels(positives)
        shape = (len(positives), max(classes.shape[-1], self._depth(num_labels)))
        if classes.shape != shape or predictions.shape != shape or positives.shape[1:] != (self.num_classes,):
            raise ValueError(
                f"`classes` and `predictions` must both have shape {shape} or more classes, `labels` [batch, "
                f"{self.num_classes}]. Received: {classes.shape}, {predictions.shape}, {positives.shape}."
            )
        check_finite(predictions)
        hits = np.take_along_axis(positives, classes, axis=1)
        return self._accumulate(batch_metrics.RankedBatch(classes, predictions, hits), positives, num_labels, loss)

    def depth_of(self, labels):
        """How many classes of every video must be ranked to measure a batch with these labels, bool [B, C]."""
        return self._depth(batch_metrics.count_labels(labels))

    def _depth(self, num_labels):
        return max(self.top_k, batch_metrics.equal_recall_depth(num_labels))

    def _accumulate(self, ranked, positives, num_labels, loss):
        loss = self._check_loss(loss, num_videos=len(positives))
        best_is_hit = ranked.positives[:, 0]
        equal_recall_hits = batch_metrics.equal_recall_hits(ranked, num_labels)

        self._has_loss = loss is not None
        self._append_entries(ranked)
        self._num_examples += len(positives)
        self._num_labels_of_class += np.count_nonzero(positives, axis=0)
        self._num_hits_at_one += int(np.count_nonzero(best_is_hit))
        np.add.at(self._equal_recall_hits, num_labels, equal_recall_hits)
        batch = {
            "hit_at_one": batch_metrics.mean(best_is_hit),
            "perr": batch_metrics.mean(equal_recall_hits / np.maximum(num_labels, 1)),
        }
        if loss is not None:
            self._loss_sum += float(loss.sum())
            batch["loss"] = batch_metrics.mean(loss)
        return batch

    def result(self):
        """Metrics of all videos so far; more may be added afterwards.

        Returns:
            dict of the floats "hit_at_one", "perr", "map" and "gap", and "loss" if losses were given; of the
            ints "num_examples" and "num_classes_with_positives", the number of classes that mAP is the mean
            of. If no video has a label, mAP and GAP are 0.0 and that number is 0.

        Raises:
            ValueError: if there are no videos.
        """
        if not self._num_examples:
            raise ValueError("There are no videos to compute metrics of: `accumulate` received none.")
        perr_sum = (self._equal_recall_hits[1:] / np.arange(1, self.num_classes + 1)).sum()
        metrics = {
            "hit_at_one": self._num_hits_at_one / self._num_examples,
            "perr": float(perr_sum) / self._num_examples,
            "map": self._mean_average_precision(),
            "gap": self._global_average_precision(),
            "num_examples": self._num_examples,
            "num_classes_with_positives": int(np.count_nonzero(self._num_labels_of_class)),
        }
        if self._has_loss:
            metrics["loss"] = self._loss_sum / self._num_examples
        return metrics

    def _check_loss(self, loss, num_videos):
        """Losses as float64; ValueError for another shape than [B] or if earlier batches did otherwise."""
        if self._has_loss not in (None, loss is not None):
            raise ValueError(
                "`loss` must be given for all batches or for none. Received: "
                + ("no loss after batches with one." if loss is None else "a loss after batches without one.")
            )
        if loss is None:
            return None
        loss = np.asarray(loss, np.float64)
        if loss.shape != (num_videos,):
            raise ValueError(f"`loss` must have one value a video, ({num_videos},). Received: {loss.shape}.")
        return loss

    def _append_entries(self, ranked):
        entries = np.empty((len(ranked.classes), self.top_k), self._entries.dtype)
        entries["prediction"] = ranked.predictions[:, : self.top_k]
        entries["class"] = ranked.classes[:, : self.top_k]
        entries["positive"] = ranked.positives[:, : self.top_k]
        self._entries.append(entries.ravel())

    def _global_average_precision(self):
        entries = self._entries.view()
        return average_precision(entries["prediction"], entries["positive"], self._num_labels_of_class.sum())

    def _mean_average_precision(self):
        return mean_average_precision(self._entries.view(), self._num_labels_of_class)
