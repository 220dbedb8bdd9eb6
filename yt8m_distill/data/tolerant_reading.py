"""Reading on where a record is bad: what `--bad_records=skip` puts in the place of TensorFlow's reader and of a parser.

Both leave their work to what reads good records, and look closer only where that fails.
"""

from __future__ import annotations

import tensorflow as tf

from yt8m_distill.data.errors import bad_record_message, parser_message
from yt8m_distill.data.record_files import damage_message, record_problem, unreadable_message
from yt8m_distill.data.record_reader import read_records
from yt8m_distill.data.schema import RecordSchema
from yt8m_distill.data.skipped_records import SkippedRecords

# What a parser raises for a record that is none. TensorFlow quotes such a record, and may fail to decode its own words.
_BAD_RECORD = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


@tf.autograph.experimental.do_not_convert
def readable_records(path: tf.Tensor, skipped: SkippedRecords) -> tf.data.Dataset:
    """The records of a file that can be read: `serialized` string and `number` int64, its place in the file."""

    def generate(path):
        path = path.decode()
        try:
            for record in read_records(path):
                if record.problem:
                    lost = " Nothing behind it can be read." if record.is_last else ""
                    skipped.add(path, record.number, damage_message(path, record) + lost)
                else:
                    yield {"serialized": record.payload, "number": record.number}
        except tf.errors.OpError as error:
            skipped.add(path, -1, unreadable_message(path, error))

    signature = {"serialized": tf.TensorSpec([], tf.string), "number": tf.TensorSpec([], tf.int64)}
    return tf.data.Dataset.from_generator(generate, output_signature=signature, args=(path,))


def parse_good_records(parse, records: dict, schema: RecordSchema | None, skipped: SkippedRecords) -> tuple[dict, dict]:
    """Parses a batch without its bad records.

    Args:
      parse: a `tf.function` of (records) that fails if any of them is bad.
      records: tensors of one entry a record: `serialized`, `path`, `number` and what else `parse` takes.
      schema: for the words about a bad record; None if records may have any features.
      skipped: where they are noted.

    Returns:
      What `parse` makes of the good records, and the good records.
    """
    specs = {name: tf.TensorSpec([None], value.dtype) for name, value in records.items()}
    graph = parse.get_concrete_function(specs)
    outputs = graph.structured_outputs

    def run(*values):
        batch = dict(zip(records, values))
        good = _good_rows(graph, batch, list(range(len(values[0]))), schema, skipped)
        parsed = graph(_rows(batch, good))
        return [tf.constant(good, tf.int64), *(parsed[name] for name in outputs)]

    dtypes = [tf.int64, *(spec.dtype for spec in outputs.values())]
    good, *values = tf.py_function(run, list(records.values()), dtypes)
    good.set_shape([None])
    parsed = {}
    for (name, spec), value in zip(outputs.items(), values):
        value.set_shape(spec.shape)
        parsed[name] = value
    return parsed, {name: tf.gather(value, good) for name, value in records.items()}


def _good_rows(graph, batch, rows, schema, skipped):
    """The rows that can be parsed, found by halving what cannot."""
    try:
        graph(_rows(batch, rows))
        return rows
    except _BAD_RECORD as error:
        if len(rows) == 1:
            _note(batch, rows[0], error, schema, skipped)
            return []
    half = len(rows) // 2
    return [row for part in (rows[:half], rows[half:]) for row in _good_rows(graph, batch, part, schema, skipped)]


def _rows(batch, rows):
    rows = tf.constant(rows, tf.int64)
    return {name: tf.gather(value, rows) for name, value in batch.items()}


def _note(batch, row, error, schema, skipped):
    path, number = batch["path"][row].numpy().decode(), int(batch["number"][row])
    place = f"{path} record {number}"
    problem = bad_record_message(error) or record_problem(place, batch["serialized"][row].numpy(), schema)
    problem = problem or parser_message(error) or f"{place}: cannot be parsed."
    skipped.add(path, number, problem)
