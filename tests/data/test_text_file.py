import pytest
import tensorflow as tf

from yt8m_distill.data.errors import DataError
from yt8m_distill.data.text_file import numbered_lines


def test_lines_are_counted_from_one(tmp_path):
    (tmp_path / "file").write_text("é\n\nb", encoding="utf-8")
    assert list(numbered_lines(str(tmp_path / "file"))) == [(1, "é\n"), (2, "\n"), (3, "b")]


def test_what_is_no_text_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"good\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"file: is not UTF-8 text \('utf-8' codec can't decode"):
        list(numbered_lines(str(tmp_path / "file")))
    with pytest.raises(DataError, match=rf"^{tmp_path}: is a directory, not a text file\.$"):
        list(numbered_lines(str(tmp_path)))


def test_a_missing_file(tmp_path):
    with pytest.raises(tf.errors.NotFoundError):
        list(numbered_lines(str(tmp_path / "none")))


def test_what_the_reader_of_the_lines_raises_is_its_own(tmp_path):
    (tmp_path / "file").write_text("a\n")
    with pytest.raises(UnicodeDecodeError):
        for _ in numbered_lines(str(tmp_path / "file")):
            b"\xff".decode()
