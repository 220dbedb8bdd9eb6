"""What models make of the same videos: encodings of a few classes that have little to do with each other, in 2-D.

As in the talk on "Efficient Video Classification Using Fewer Frames" (CVPR 2019), which shows t-SNE of teacher and
student on a few least correlated classes. How those were chosen it does not say; see `choose_classes`.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from yt8m_distill.data import RecordSchema, evaluation_dataset, readable_errors
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.pipeline import NOT_INPUTS
from yt8m_distill.models import VideoClassifier
from yt8m_distill.models.prediction_function import prediction_function

NUM_CLASSES = 5
NUM_FREQUENT = 30
_MAX_RECORDS = 20_000
_BATCH_SIZE = 256
_PERPLEXITY = 30


def choose_classes(labels: np.ndarray, num_classes: int = NUM_CLASSES, num_frequent: int = NUM_FREQUENT) -> list[int]:
    """Chooses frequent classes that rarely occur together.

    Of the `num_frequent` most frequent classes it takes the two whose label columns correlate least, and then, one by
    one, that whose highest correlation with those chosen is lowest.

    Args:
      labels: bool [N, C].
      num_classes: how many to choose.
      num_frequent: how many to choose from.

    Returns:
      Class indices, ascending; fewer than asked for where the records do not have as many.
    """
    counts = labels.sum(axis=0)
    frequent = [c for c in np.argsort(-counts, kind="stable")[:num_frequent] if 0 < counts[c] < len(labels)]
    if len(frequent) < 2:
        return sorted(int(c) for c in frequent)
    correlation = np.corrcoef(labels[:, frequent].astype(float), rowvar=False)
    np.fill_diagonal(correlation, np.inf)
    chosen = list(np.unravel_index(np.argmin(correlation), correlation.shape))
    while len(chosen) < min(num_classes, len(frequent)):
        highest = correlation[:, chosen].max(axis=1)  # infinite for those chosen
        chosen.append(int(np.argmin(highest)))
    return sorted(int(frequent[c]) for c in chosen)


def choose_videos(labels: np.ndarray, classes: list[int], num_videos: int) -> tuple[np.ndarray, np.ndarray]:
    """The first videos that have exactly one of the classes, as many of each class.

    Returns:
      Their positions, ascending, and the class of each, int64 [M] with M up to `num_videos`.
    """
    of_classes = labels[:, classes]
    has_one = of_classes.sum(axis=1) == 1
    each = num_videos // max(len(classes), 1)
    positions = np.sort(
        np.concatenate([np.flatnonzero(has_one & column)[:each] for column in of_classes.T] or [np.zeros(0, np.int64)])
    )
    return positions, np.asarray(classes, np.int64)[of_classes[positions].argmax(axis=1)]


def read_labels(files: list[str], schema: RecordSchema) -> np.ndarray:
    """Labels of the first 20,000 records, bool [N, C]; raises DataError for records that cannot be read."""
    one_frame = FrameSampler("first", 1, max_frames=schema.max_frames) if schema.frame_features else None
    with readable_errors(files, schema):
        batches = _batches(files, schema, one_frame)
        return np.concatenate([batch["labels"].numpy() for batch in batches])


def encode_videos(model: VideoClassifier, files: list[str], positions: np.ndarray) -> np.ndarray:
    """Encodings of the records at ascending `positions`, float32 [M, E]."""
    encode = prediction_function(lambda inputs: model(inputs, training=False)["encoding"])
    encodings, start = [], 0
    with readable_errors(files, model.schema):
        for batch in _batches(files, model.schema, model.sampler):
            size = len(batch["labels"])
            rows = positions[(positions >= start) & (positions < start + size)] - start
            start += size
            if len(rows):
                inputs = {name: tf.gather(value, rows) for name, value in batch.items() if name not in NOT_INPUTS}
                encodings.append(encode(inputs).numpy())
    return np.concatenate(encodings)


def embed_in_plane(encodings: list[np.ndarray]) -> list[np.ndarray]:
    """t-SNE of several models' encodings, seeded.

    Encodings of the same width are embedded together: a student that reproduces its teacher's lies at the same place.

    Args:
      encodings: float [M, E] of each model.

    Returns:
      Points of each model, float [M, 2].

    Raises:
      ValueError: fewer than four videos.
    """
    from sklearn.manifold import TSNE  # of the extra `report`, which brings threadpoolctl, too
    from threadpoolctl import threadpool_limits

    if len(encodings[0]) < 4:
        raise ValueError(f"t-SNE needs four videos or more. Received: {len(encodings[0])}.")
    if len({encoding.shape[1] for encoding in encodings}) > 1:
        return [embed_in_plane([encoding])[0] for encoding in encodings]
    together = np.concatenate(encodings)
    perplexity = min(_PERPLEXITY, (len(together) - 1) / 3)
    with threadpool_limits(1):  # the same sums on any machine; and several threads wait for each other most of the time
        points = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(together)
    return np.split(points, len(encodings))


def _batches(files, schema, sampler):
    return evaluation_dataset(files, schema, _BATCH_SIZE, sampler).take(-(-_MAX_RECORDS // _BATCH_SIZE))
