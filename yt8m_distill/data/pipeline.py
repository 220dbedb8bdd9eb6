"""tf.data pipelines: record files to batches of model inputs and labels."""

from __future__ import annotations

import atexit
import contextlib
import functools
import random

import tensorflow as tf

from yt8m_distill.data.errors import DataError, bad_record_message, parser_message
from yt8m_distill.data.frame_sampling import FrameSampler
from yt8m_distill.data.record_files import locate_damage
from yt8m_distill.data.record_parser import parse_frame_level, parse_video_level
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.segment_parser import SEGMENT_LENGTH, parse_rated_segments, parse_segment_ratings
from yt8m_distill.data.segment_windows import cut_into_windows
from yt8m_distill.data.skipped_records import SkippedRecords
from yt8m_distill.data.teacher_cache import TeacherCache
from yt8m_distill.data.teacher_records import fingerprints
from yt8m_distill.data.tolerant_reading import parse_good_records, readable_records
from yt8m_distill.data.video_ids import require_writable_ids

# What the parsers return beside a model's inputs.
NOT_INPUTS = ("video_ids", "paths", "fingerprints", "start_times", "labels", "label_weights")

_MIN_SHUFFLE_BUFFER = 1000
# Records parsed at once where a batch is not one of records: their undecoded frames take some 20 MB.
_RECORDS_PARSED_AT_ONCE = 64
_INPUT_ERRORS = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    UnicodeDecodeError,  # TensorFlow quotes a record that it cannot parse, and then cannot decode its own message
)


def training_dataset(
    files: list[str],
    schema: RecordSchema,
    batch_size: int,
    sampler: FrameSampler | None = None,
    *,
    seed: int = 0,
    epoch: int = 0,
    num_readers: int = 8,
    num_workers: int = 1,
    worker_index: int = 0,
    skip_batches: int = 0,
    segments: bool = False,
    unlabelled_files: list[str] = (),
    teacher_cache: TeacherCache | None = None,
    skipped: SkippedRecords | None = None,
) -> tf.data.Dataset:
    """One epoch of shuffled training batches, the last one possibly smaller.

    File order is shuffled, `num_readers` files are read at once, and serialized records (not decoded frames) are
    shuffled in a buffer of five batches or more, as in the original. The same `seed` and `epoch` give the same order
    and the same random draws of frames.

    Several workers share one epoch: by file where every worker can have one, by record otherwise, each record once.

    Rated segments are shuffled once more, in a buffer of five batches, so that those of one video spread. A run that
    resumes reads and drops the segments it has had, because only reading tells how many a record holds.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      batch_size: records (or rated segments) a batch, for this worker.
      sampler: frame budget applied while decoding; None decodes all frames. Not applied to segments.
      seed: of the whole run.
      epoch: number of the pass, starting at 0.
      num_readers: files read at once.
      num_workers: how many workers share the epoch.
      worker_index: which of them this is.
      skip_batches: batches to leave out at the start, for a run that resumes within an epoch.
      segments: read rated segments (see `parse_rated_segments`) instead of whole videos.
      unlabelled_files: TFRecord files of more videos, whose labels are not read; shuffled together with `files`.
      teacher_cache: what a teacher said of each of these videos; None without.
      skipped: leave out bad records and note them here; None fails at the first one.

    Returns:
      A dataset of (inputs, labels): inputs as `parse_frame_level` or `parse_video_level` without `video_ids`, and as
      `TeacherRecords.parse` with a cache; labels bool [B, num_classes]. Of segments, a dataset of (inputs, labels,
      label_weights float32 [B, num_classes]); with unlabelled files, of (inputs, labels, label_weights float32 [B, 1]),
      1 for a video of `files` and 0, with no label, for another.

    Raises:
      ValueError: segments of video-level records, segments with unlabelled files or a teacher cache, or a cache where
        bad records are skipped.
    """
    if segments and (unlabelled_files or teacher_cache):
        raise ValueError("Segments go with neither unlabelled files nor a teacher cache.")
    if skipped is not None and teacher_cache is not None:
        raise ValueError("A teacher cache is of whole files, none of whose records is skipped.")
    all_files = [*files, *unlabelled_files]
    shard_by_file = len(all_files) >= num_workers > 1
    shuffle_seed = seed * 1009 + epoch
    file_order = random.Random(shuffle_seed).sample(sorted(all_files), len(all_files))
    dataset = tf.data.Dataset.from_tensor_slices(_described(file_order, unlabelled_files, teacher_cache))
    if shard_by_file:
        dataset = dataset.shard(num_workers, worker_index)
    dataset = _read_files(dataset, min(num_readers, len(all_files)), skipped)
    dataset = _shuffle(dataset, max(_MIN_SHUFFLE_BUFFER, 5 * batch_size * num_workers), shuffle_seed)
    if num_workers > 1 and not shard_by_file:
        # After the shuffle: a step of all workers then reads the records that one worker alone would read.
        dataset = dataset.shard(num_workers, worker_index)
    if segments:
        dataset = _shuffle(_parse_segments(dataset, schema, skipped).unbatch(), 5 * batch_size, shuffle_seed)
        dataset = dataset.batch(batch_size).skip(skip_batches)
    else:
        # Batches of nothing but bad records were no steps: which they are only parsing tells.
        skips_parsed = skip_batches if skipped is not None else 0
        dataset = dataset.batch(batch_size).skip(skip_batches - skips_parsed)
        beside = functools.partial(_teacher_and_weights, teacher_cache)
        settings = {"training": True, "beside": beside, "skipped": skipped}
        dataset = _parse_batches(dataset, schema, sampler, shuffle_seed + 1, **settings).skip(skips_parsed)
    return dataset.map(_inputs_and_labels).prefetch(tf.data.AUTOTUNE)


def evaluation_dataset(
    files: list[str],
    schema: RecordSchema,
    batch_size: int,
    sampler: FrameSampler | None = None,
    *,
    num_readers: int = 1,
    segments: bool = False,
    skipped: SkippedRecords | None = None,
    writable_ids: str = "",
) -> tf.data.Dataset:
    """Every record, or every rated segment, exactly once, always in the same order.

    Args:
      files: TFRecord files.
      schema: layout of the records.
      batch_size: records (or rated segments) a batch; the last batch may be smaller.
      sampler: frame budget applied while decoding; None decodes all frames. Not applied to segments.
      num_readers: files read at once. With 1, records come in the order of the files; with more, file by file in turn.
      segments: read rated segments instead of whole videos.
      skipped: leave out bad records and note them here; None fails at the first one.
      writable_ids: `videos`: a record whose id no submission CSV can hold is a bad one; "" for any id. Not applied to
        segments.

    Returns:
      A dataset of dicts as `parse_frame_level`, `parse_video_level` or `parse_rated_segments` return them.

    Raises:
      ValueError: segments of video-level records.
    """
    dataset = _records_in_order(_described(sorted(files)), num_readers, skipped)
    if segments:
        dataset = _parse_segments(dataset, schema, skipped).rebatch(batch_size)
    else:
        settings = {"skipped": skipped, "writable_ids": writable_ids}
        dataset = _parse_batches(dataset.batch(batch_size), schema, sampler, sampling_seed=0, **settings)
    return dataset.prefetch(tf.data.AUTOTUNE)


def unlabelled_dataset(
    files: list[str], schema: RecordSchema, batch_size: int, sampler: FrameSampler | None = None
) -> tf.data.Dataset:
    """Every record once, file by file in the order of their names, whatever its labels.

    Returns:
      A dataset of dicts as `evaluation_dataset` of videos, with labels that are all False, `paths` string [B], the file
      that each record is from, and `fingerprints` int64 [B] of the records.
    """
    dataset = _records_in_order(_described(sorted(files), unlabelled_files=files), num_readers=1).batch(batch_size)
    dataset = _parse_batches(dataset, schema, sampler, sampling_seed=0, beside=_paths_and_fingerprints)
    return dataset.prefetch(tf.data.AUTOTUNE)


def window_dataset(
    files: list[str],
    schema: RecordSchema,
    batch_size: int,
    *,
    num_readers: int = 1,
    skipped: SkippedRecords | None = None,
) -> tf.data.Dataset:
    """Every video cut into consecutive segments, rated or not, always in the same order; a video is parsed once.

    A record whose id no CSV of segments can hold is a bad one.

    Args:
      files: TFRecord files.
      schema: layout of the records, frame-level.
      batch_size: segments a batch; the last batch may be smaller.
      num_readers: files read at once; above 1, videos come file by file in turn.
      skipped: leave out bad records and note them here; None fails at the first one.

    Returns:
      A dataset of dicts as `cut_into_windows` returns them.

    Raises:
      ValueError: video-level records.
    """
    _require_frame_level(schema)
    windows_of_video = -(-schema.max_frames // SEGMENT_LENGTH)
    videos = _records_in_order(_described(sorted(files)), num_readers, skipped)
    videos = videos.batch(max(1, batch_size // windows_of_video))
    videos = _parse_batches(videos, schema, sampler=None, sampling_seed=0, skipped=skipped, writable_ids="segments")
    return videos.map(cut_into_windows).rebatch(batch_size).prefetch(tf.data.AUTOTUNE)


def segment_ratings_dataset(files: list[str]) -> tf.data.Dataset:
    """All ratings of segments, in the order of the files, whatever the records' features.

    Returns:
      A dataset of dicts as `parse_segment_ratings` returns them.
    """
    dataset = _records_in_order(_described(sorted(files)), num_readers=1).batch(_RECORDS_PARSED_AT_ONCE)
    return _parse_with_source(dataset, parse_segment_ratings).prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def readable_errors(files: list[str], schema: RecordSchema | None = None):
    """Turns what TensorFlow raises about the input into a `DataError` that names file, record and reason.

    Without a schema, records with any features are good ones.
    """
    try:
        yield
    except _INPUT_ERRORS as error:
        message = bad_record_message(error) or locate_damage(files, schema) or parser_message(error)
        message = message or _locate_unparsable(files, schema)
        if message is None:
            raise
        raise DataError(message) from error


def _locate_unparsable(files, schema):
    """The first record that TensorFlow cannot parse, though protobuf can, and of which it does not say where it is."""
    for path in files if schema is not None else ():
        skipped = SkippedRecords(warns=False)
        for _ in evaluation_dataset([path], schema, _RECORDS_PARSED_AT_ONCE, skipped=skipped):
            pass
        if len(skipped):
            return skipped.problems()[0]
    return None


def _shuffle(dataset, buffer_size, seed):
    """Shuffles by `seed` alone. TensorFlow adds its global seed, by which workers may differ and would lose records."""

    def shuffled(_):
        tf.compat.v1.set_random_seed(seed)  # of this function's graph
        return dataset.shuffle(buffer_size, seed=seed)

    return tf.data.Dataset.from_tensors(0).flat_map(shuffled)


def _described(files, unlabelled_files=(), teacher_cache=None):
    """What is to be known of each file, as lists of one entry a file."""
    description = {"path": files}
    if unlabelled_files:
        unlabelled = set(unlabelled_files)
        description["is_labelled"] = [file not in unlabelled for file in files]
    if teacher_cache is not None:
        description["teacher_path"] = [teacher_cache.path_of(file) for file in files]
    return description


def _records_of_file(file):
    """The records of a described file: `serialized`, `number`, what describes the file, and `teacher` from a cache."""
    records = {"serialized": tf.data.TFRecordDataset(file["path"])}
    if "teacher_path" in file:
        records["teacher"] = tf.data.TFRecordDataset(file["teacher_path"])
    kept = {name: file[name] for name in file if name != "teacher_path"}
    return tf.data.Dataset.zip(records).enumerate().map(lambda number, record: {**record, **kept, "number": number})


def _records_in_order(described_files, num_readers, skipped=None):
    dataset = tf.data.Dataset.from_tensor_slices(described_files)
    return _read_files(dataset, min(num_readers, len(described_files["path"])), skipped)


def _read_files(described_files, num_readers, skipped):
    def records_of_file(file):
        if skipped is None:
            return _records_of_file(file)
        return readable_records(file["path"], skipped).map(lambda record: {**record, **file})

    return described_files.interleave(records_of_file, cycle_length=num_readers, num_parallel_calls=num_readers)


def _parse_batches(dataset, schema, sampler, sampling_seed, training=False, **settings):
    if schema.frame_features:
        settings.update(sampler=sampler, training=training, sampling_seed=sampling_seed)
    parse = parse_frame_level if schema.frame_features else parse_video_level
    return _parse_with_source(dataset, parse, schema=schema, **settings)


def _parse_segments(dataset, schema, skipped=None):
    """Batches of all rated segments of some records; an empty batch where they have none."""
    _require_frame_level(schema)
    batches = dataset.batch(_RECORDS_PARSED_AT_ONCE)
    return _parse_with_source(batches, parse_rated_segments, skipped=skipped, schema=schema)


def _require_frame_level(schema):
    if not schema.frame_features:
        raise ValueError("Segments are parts of frame-level records; these are video-level.")


def _teacher_and_weights(teacher_cache, records, parsed):
    """What training batches hold beside what the parser makes of the records."""
    added = {}
    if teacher_cache is not None:
        videos = parsed["video_ids"], records["serialized"]
        added.update(teacher_cache.records.parse(records["teacher"], *videos, _source(records)))
    if "is_labelled" in records:
        added["label_weights"] = tf.cast(records["is_labelled"], tf.float32)[:, None]  # [B, 1]
    return added


def _paths_and_fingerprints(records, parsed):
    return {"paths": records["path"], "fingerprints": fingerprints(records["serialized"])}


def _parse_with_source(dataset, parse, sampling_seed=None, beside=None, skipped=None, writable_ids="", **settings):
    """Parses batches of what `_records_of_file` gives; adds what `beside`, a function of (records, parsed), returns."""
    parse_graph = _parse_graph(parse, tuple(settings.items()))

    def parse_batch(records):
        seeds = {} if sampling_seed is None else {"sampling_seed": tf.constant(sampling_seed, tf.int64)}
        known = {name: records[name] for name in ("is_labelled",) if name in records}
        parsed = parse_graph(records["serialized"], _source(records), **known, **seeds)
        if writable_ids:
            ids = require_writable_ids(parsed["video_ids"], _source(records), writable_ids == "segments")
            parsed = {**parsed, "video_ids": ids}
        return parsed

    def parse_all(records):
        parsed = parse_batch(records)
        return parsed if beside is None else {**parsed, **beside(records, parsed)}

    def parse_good(records):
        parsed, good = parse_good_records(tf.function(parse_batch), records, settings.get("schema"), skipped)
        return parsed if beside is None else {**parsed, **beside(good, parsed)}

    if skipped is None:
        return dataset.map(parse_all, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.map(parse_good, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.filter(lambda parsed: tf.shape(parsed["video_ids"])[0] > 0)


@functools.lru_cache(maxsize=32)
def _parse_graph(parse, settings):
    """A parser as a graph that all pipelines of the process share: each pass over the data builds a pipeline."""

    @functools.partial(tf.function, autograph=False)
    def parse_batch(serialized, source, **tensors):
        return parse(serialized, source=source, **dict(settings), **tensors)

    return parse_batch


def _source(records):
    """Where each record of a batch stands, string [B], for error messages."""
    return tf.strings.join(["in ", records["path"], " record ", tf.strings.as_string(records["number"])])


# TensorFlow's functions must not outlive TensorFlow.
atexit.register(_parse_graph.cache_clear)


def _inputs_and_labels(parsed):
    inputs = {name: value for name, value in parsed.items() if name not in NOT_INPUTS}
    if "label_weights" in parsed:
        return inputs, parsed["labels"], parsed["label_weights"]
    return inputs, parsed["labels"]
