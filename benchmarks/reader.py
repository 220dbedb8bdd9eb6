"""Videos a second of each stage of reading, and of the original's way."""

from __future__ import annotations

import functools
import os

import tensorflow as tf

from benchmarks.original_reader import original_dataset
from benchmarks.records import real_lengths, schema_of, write_records
from benchmarks.timing import Case, report_progress, time_passes
from yt8m_distill.data import FrameSampler, evaluation_dataset, training_dataset

RAW = "raw read"
ORIGINAL = "original, all frames"


def measure(settings) -> list[dict]:
    """Rows by stage. Each of the first five does what the one before it does and one thing more.

    - raw read: `TFRecordDataset` alone, of as many files at once; the limit.
    - batch of bytes: records put into batches, undecoded.
    - parse: the protocol buffers of a batch, by `tf.io.parse_sequence_example`, undecoded.
    - pick k: k entries of each, undecoded.
    - decode k: to bytes, all features side by side. This is what TensorFlow's parser allows at best.
    - evaluation, training: the package's datasets, which cut frames out of the record and check it, too.
    - original: see `original_reader`; k of its frames are gathered from all that it decoded.
    """
    report_progress("reader: writing records")
    lengths = real_lengths(settings.videos_per_file, settings.max_frames)
    files = write_records(settings, "reader", lengths, settings.num_files)
    bytes_a_video = sum(map(os.path.getsize, files)) / (len(files) * settings.videos_per_file)
    timings = time_passes(_cases(settings), files, files, settings, "reader:")
    raw = timings[RAW]
    rows = []
    for name, timing in timings.items():
        frames = name.rpartition(" ")[2] if name.rpartition(" ")[2].isdigit() else "all"
        original = timings[ORIGINAL if frames == "all" else _original_name(settings.reader_budgets[0])]
        is_package = name.startswith(("evaluation", "training"))
        rows.append(
            {
                "stage": name,
                "videos_per_s": 1 / timing.seconds,
                "mb_per_s": bytes_a_video / timing.seconds / 1e6,
                "cpu_ms_per_video": timing.cpu_seconds * 1e3,
                "share_of_raw_rate": raw.seconds / timing.seconds,
                "times_the_original": original.seconds / timing.seconds if is_package else None,
                "times_the_original_cpu": original.cpu_seconds / timing.cpu_seconds if is_package else None,
            }
        )
    return rows


def _cases(settings):
    schema, batch_size, readers = schema_of(settings), settings.reader_batch_size, settings.num_readers
    budget = settings.reader_budgets[0]

    def raw(files):
        dataset = tf.data.Dataset.from_tensor_slices(files)
        cycle = min(readers, len(files))
        return dataset.interleave(tf.data.TFRecordDataset, cycle_length=cycle, num_parallel_calls=cycle)

    def batches(files):
        return raw(files).batch(batch_size)

    def parsed(files):
        return batches(files).map(functools.partial(_parse, schema), num_parallel_calls=tf.data.AUTOTUNE)

    def picked(files):
        return parsed(files).map(functools.partial(_pick, budget), num_parallel_calls=tf.data.AUTOTUNE)

    def decoded(files):
        return picked(files).map(functools.partial(_decode, schema), num_parallel_calls=tf.data.AUTOTUNE)

    def evaluation(sampler):
        return lambda files: evaluation_dataset(files, schema, batch_size, sampler, num_readers=readers)

    def training(sampler):
        return lambda files: training_dataset(files, schema, batch_size, sampler, num_readers=readers)

    def original(num_sampled_frames):
        return lambda files: original_dataset(files, schema, batch_size, readers, num_sampled_frames)

    samplers = {k: FrameSampler(num_sampled_frames=k, max_frames=schema.max_frames) for k in settings.reader_budgets}
    datasets = {
        RAW: raw,
        "batch of bytes": batches,
        "parse": parsed,
        f"pick {budget}": picked,
        f"decode {budget}": decoded,
        **{f"evaluation, {k}": evaluation(sampler) for k, sampler in samplers.items()},
        "evaluation, all frames": evaluation(None),
        f"training, {budget}": training(samplers[budget]),
        "training, all frames": training(None),
        _original_name(budget): original(budget),
        ORIGINAL: original(None),
    }
    return {name: _case(make) for name, make in datasets.items()}


def _original_name(budget):
    return f"original, {budget}"


def _parse(schema, serialized):
    _, entries, num_entries = tf.io.parse_sequence_example(
        serialized,
        {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)},
        {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in schema.feature_names},
    )
    return entries, num_entries


def _pick(budget, entries, num_entries):
    picked = {}
    for name, values in entries.items():
        indices = tf.range(budget, dtype=tf.int64) * num_entries[name][:, None] // budget
        picked[name] = tf.gather(values, indices, batch_dims=1)
    return picked


def _decode(schema, picked):
    sizes = dict(zip(schema.feature_names, schema.feature_sizes))
    return tf.concat([tf.io.decode_raw(picked[name], tf.uint8, fixed_length=sizes[name]) for name in picked], axis=-1)


def _case(make_dataset):
    # Emptied in C++: a Python loop over single records would be slower than reading them.
    return Case(lambda files: make_dataset(files).filter(lambda *_: False), lambda iterator: next(iterator, None))
