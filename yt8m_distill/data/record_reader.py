"""Reads a TFRecord file past its damage: which records are whole, and what is wrong with those that are not.

A record is its length (8 bytes), a checksum of the length, the payload and a checksum of the payload. TensorFlow's
dataset of records leaves a file at its first damage; where the length is sound the next record can still be found.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
from tensorflow.python.lib.io import tf_record  # the one reader of TensorFlow's that can start at a given record

HEADER_BYTES = 12  # the length and its checksum
FOOTER_BYTES = 4  # the payload's checksum
_CHECKSUM_POLYNOMIAL = 0x82F63B78  # CRC-32C, bits reversed
_MASK = 0xA282EAD8


class Record(NamedTuple):
    """One record of a file, whole or not.

    Attributes:
      number: from 0.
      payload: the serialized example; empty if the record is damaged.
      problem: what is wrong with it, and its number; "" if nothing is.
      is_last: nothing can be read behind it, though there may be bytes.
    """

    number: int
    payload: bytes
    problem: str = ""
    is_last: bool = False


def read_records(path: str) -> Iterator[Record]:
    """All records of a local or remote file, in order; damaged ones with their problem.

    A record whose checksum is wrong is followed by the next one. One that is cut off, or whose length is damaged, ends
    the file.

    Raises:
      tf.errors.OpError: the file cannot be opened.
    """
    reader = tf_record.tf_record_random_reader(path)
    for number, start, problem in _starts(path):
        if problem:
            yield Record(number, b"", problem, is_last=True)
            return
        try:
            yield Record(number, reader.read(start)[0])
        except tf.errors.DataLossError:
            yield Record(number, b"", f"record {number} fails its checksum")


def check_lengths(path: str) -> Record | None:
    """The record at which a file ends too early, or None; reads only the lengths, not the payloads.

    Raises:
      tf.errors.OpError: the file cannot be opened.
    """
    for number, _, problem in _starts(path):
        if problem:
            return Record(number, b"", problem, is_last=True)
    return None


def _starts(path):
    """Number and start of each record, and of one that does not end within the file what is wrong; it is the last.

    Nobody may allocate what a length says before it has been compared with the size of the file.
    """
    size = tf.io.gfile.stat(path).length
    start = number = 0
    with _open(path) as file:
        while start < size:
            file.seek(start)
            end, problem = _end(file.read(HEADER_BYTES), start, size, number)
            yield number, start, problem
            if problem:
                return
            start = end
            number += 1


def _open(path):
    if "://" in path:
        return tf.io.gfile.GFile(path, "rb")
    try:
        return open(path, "rb")  # a GFile takes ten times as long to seek
    except OSError as error:
        raise tf.errors.OpError(None, None, error.strerror, tf.errors.UNKNOWN) from error


def _end(header, start, size, number):
    if len(header) < HEADER_BYTES:
        return size, f"truncated in record {number}"
    length, checksum = struct.unpack("<QI", header)
    if checksum != masked_checksum(header[:8]):
        return size, f"record {number} has a damaged length" if number else "is not a TFRecord file"
    end = start + HEADER_BYTES + length + FOOTER_BYTES
    if end > size:
        return size, f"truncated in record {number}, of which {end - size} bytes are missing"
    return end, ""


def masked_checksum(data: bytes) -> int:
    """The checksum that TFRecords use: CRC-32C, rotated and shifted. For a few bytes; it is slow."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _REMAINDERS[(checksum ^ byte) & 0xFF]
    checksum ^= 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def _remainder(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (_CHECKSUM_POLYNOMIAL if byte & 1 else 0)
    return byte


_REMAINDERS = [_remainder(byte) for byte in range(256)]
