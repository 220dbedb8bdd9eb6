"""Files of re-framed videos: reads the video-level records, writes the frame-level ones, with several processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import re
import signal
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from yt8m_distill.data.frame_record import serialize_frames
from yt8m_distill.data.pipeline import evaluation_dataset, readable_errors
from yt8m_distill.data.record_files import check_first_record
from yt8m_distill.data.reframing import ReframedVideos, VideoMeans
from yt8m_distill.data.schema import RecordSchema

_BATCH_SIZE = 512
_MEAN_PREFIX = "mean_"
_POLL_SECONDS = 0.2


def read_video_means(files: list[str], schema: RecordSchema) -> VideoMeans:
    """Reads video-level records into memory, 4.6 kB a video of YouTube-8M.

    Args:
      files: TFRecord files.
      schema: of video-level records; the features' names start with `mean_`, which the result's do not.

    Raises:
      DataError: a file cannot be read, or its records are not as the schema says.
      ValueError: as `VideoMeans`.
    """
    check_first_record(files, schema)
    ids, labels, batches = [], [], []
    with readable_errors(files, schema):
        for batch in evaluation_dataset(files, schema, _BATCH_SIZE):
            ids += [video_id.decode() for video_id in batch["video_ids"].numpy()]
            labels += [np.flatnonzero(row).tolist() for row in batch["labels"].numpy()]
            batches.append(batch["features"].numpy())
    parts = np.split(np.concatenate(batches), np.cumsum(schema.feature_sizes)[:-1], axis=1)
    names = [name[len(_MEAN_PREFIX) :] for name in schema.feature_names]
    return VideoMeans(ids, labels, {name: np.ascontiguousarray(part) for name, part in zip(names, parts)})


def write_reframed_shards(
    videos: ReframedVideos,
    directory: str,
    prefix: str,
    num_shards: int,
    num_videos: int | None = None,
    num_workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Writes re-framed videos as TFRecord shards, which appear under their names once all of them are complete.

    Args:
      videos: to write, in their order; what a record holds does not depend on shards and workers.
      directory: made if it is missing; local or remote.
      prefix: of the files' names, `<prefix>0000.tfrecord` and so on.
      num_shards: how many files.
      num_videos: only so many, the first; None for all.
      num_workers: processes. They are spawned, so a script that calls this with more than one needs the usual
        `if __name__ == "__main__":`.
      overwrite: remove what is in `directory` under such names, when all is written; False refuses.
      progress: called now and then with the number of videos written and their total.

    Returns:
      The paths.

    Raises:
      FileExistsError: files with such names exist, and `overwrite` is False.
      ValueError: there are fewer videos than shards, or than asked for.
      OSError, tf.errors.OpError: the files cannot be written.
    """
    total = len(videos) if num_videos is None else num_videos
    if not 1 <= num_shards <= total <= len(videos):
        raise ValueError(
            f"Of {len(videos)} videos in the input, {total} are to be written into {num_shards} shards: there must be "
            "a video for each shard, and no more can be written than there are."
        )
    bounds = np.linspace(0, total, num_shards + 1).astype(int)
    names = [f"{prefix}{number:04}.tfrecord" for number in range(num_shards)]
    with _complete_or_absent(directory, prefix, names, overwrite) as partial:
        shards = [
            (os.path.join(partial, name), range(*limits)) for name, limits in zip(names, zip(bounds[:-1], bounds[1:]))
        ]
        if num_workers == 1:
            _write_in_turn(videos, shards, total, progress)
        else:
            _write_at_once(videos, shards, total, min(num_workers, num_shards), progress)
    return [os.path.join(directory, name) for name in names]


def _write_in_turn(videos, shards, total, progress):
    done = 0
    for path, numbers in shards:
        for _ in _written(videos, path, numbers):
            done += 1
            if progress:
                progress(done, total)


def _write_at_once(videos, shards, total, num_workers, progress):
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    done, stop = context.Value("q", 0), context.Event()
    workers = concurrent.futures.ProcessPoolExecutor(num_workers, context, _start_worker, (videos, done, stop))
    try:
        waiting = {workers.submit(_write_shard, *shard) for shard in shards}
        while waiting:
            finished, waiting = concurrent.futures.wait(waiting, _POLL_SECONDS)
            for future in finished:
                future.result()  # raises what the worker raised
            if progress:
                progress(done.value, total)
    except concurrent.futures.BrokenExecutor as error:
        raise OSError("A worker process was killed, maybe for lack of memory: use fewer workers.") from error
    finally:
        stop.set()
        workers.shutdown(cancel_futures=True)


def _start_worker(videos, done, stop):
    global _videos, _done, _stop
    _videos, _done, _stop = videos, done, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one says what to do


def _write_shard(path, numbers):
    for _ in _written(_videos, path, numbers):
        with _done.get_lock():
            _done.value += 1
        if _stop.is_set():
            return


def _written(videos, path, numbers):
    """Writes a shard; yields after each record."""
    with tf.io.TFRecordWriter(path) as writer:
        for number in numbers:
            labels, frames = videos.video(number)
            writer.write(serialize_frames(videos.videos.ids[number], labels, frames))
            yield number


@contextlib.contextmanager
def _complete_or_absent(directory, prefix, names, overwrite) -> Iterator[str]:
    """Yields a directory for files called `names`, which move into `directory` if the body succeeds."""
    files = tf.io.gfile
    files.makedirs(directory)
    partial = os.path.join(directory, f".{prefix}.{uuid.uuid4().hex[:8]}.partial")
    pattern = rf"{re.escape(prefix)}\d{{4}}\.tfrecord"
    earlier = [name for name in files.listdir(directory) if re.fullmatch(pattern, name)]
    if earlier and not overwrite:
        raise FileExistsError(
            f"{directory} holds {min(earlier)} already ({len(earlier)} such files). Choose another --output_dir or "
            "--prefix, or replace them with --overwrite."
        )
    files.makedirs(partial)
    try:
        yield partial
        for name in earlier:
            files.remove(os.path.join(directory, name))
        for name in names:
            files.rename(os.path.join(partial, name), os.path.join(directory, name))
    finally:
        files.rmtree(partial)
