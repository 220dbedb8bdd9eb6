"""The submission CSV, byte by byte."""

import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from yt8m_distill.serving.submission import best_classes, write_submission


def test_golden_file(tmp_path):
    """Written by hand after the format of the original inference.py; a change here breaks the contract."""
    batches = [
        (
            [b"ABCD", "efGH"],
            np.array([[0.1234567, 1e-7, 0.5, 1.0], [0.25, 0.75, 0.25, 0.0]], np.float32),
        ),
        ([b"\xc3\xa9t\xc3\xa9"], np.array([[2.5e-5, 1.23456789e-10, 0.0001, 0.99999994]], np.float32)),
    ]
    assert write_submission(tmp_path / "predictions.csv", batches, top_k=4) == 3
    expected = (
        "VideoId,LabelConfidencePairs\n"
        "ABCD,3 1 2 0.5 0 0.123457 1 1e-07\n"
        "efGH,1 0.75 0 0.25 2 0.25 3 0\n"
        "été,3 1 2 0.0001 0 2.5e-05 1 1.23457e-10\n"
    )
    assert (tmp_path / "predictions.csv").read_bytes() == expected.encode("utf-8")


def test_default_is_twenty_pairs(tmp_path):
    predictions = np.linspace(0, 1, 25, dtype=np.float32)[np.newaxis]
    write_submission(tmp_path / "a.csv", [(["id"], predictions)])
    row = (tmp_path / "a.csv").read_text().splitlines()[1]
    fields = row[len("id,") :].split(" ")
    assert len(fields) == 40
    assert [int(field) for field in fields[::2]] == list(range(24, 4, -1))


def test_batching_does_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    predictions = rng.random((50, 30), dtype=np.float32)
    names = [f"v{i:03d}" for i in range(50)]
    texts = []
    for sizes in ([50], [1] * 50, [0, 17, 33, 0]):
        ends = np.cumsum([0] + sizes)
        batches = ((names[a:b], predictions[a:b]) for a, b in zip(ends, ends[1:]))
        assert write_submission(tmp_path / "a.csv", batches, top_k=5) == 50
        texts.append((tmp_path / "a.csv").read_text())
    assert texts[0] == texts[1] == texts[2]
    assert [row.split(",")[0] for row in texts[0].splitlines()[1:]] == names


def test_progress_counts_videos(tmp_path):
    seen = []
    batches = [(["a", "b"], np.zeros((2, 3), np.float32)), (["c"], np.zeros((1, 3), np.float32))]
    write_submission(tmp_path / "a.csv", batches, top_k=1, progress=seen.append)
    assert seen == [2, 3]


def test_no_videos(tmp_path):
    assert write_submission(tmp_path / "a.csv", []) == 0
    assert (tmp_path / "a.csv").read_text() == "VideoId,LabelConfidencePairs\n"


def test_ids_as_tensorflow_returns_them(tmp_path):
    """`dataset.as_numpy_iterator()` gives object arrays of bytes; `np.array` of them an S array."""
    for ids in (np.array([b"ab", b"cde"], dtype=object), np.array([b"ab", b"cde"]), np.array(["ab", "cde"])):
        write_submission(tmp_path / "a.csv", [(ids, np.ones((2, 1), np.float32))], top_k=1)
        assert (tmp_path / "a.csv").read_text().splitlines()[1:] == ["ab,0 1", "cde,0 1"]


# --------------------------------------------------------------------------------------------- top-k order


def top_k_classes(predictions, k):
    ids = [f"video{row}" for row in range(len(predictions))]
    ((names, classes, scores),) = best_classes([(ids, predictions)], k)
    assert names == ids
    np.testing.assert_array_equal(scores, np.take_along_axis(predictions, classes, axis=1))
    return classes


def python_top_k(row, k):
    return sorted(range(len(row)), key=lambda index: (-row[index], index))[:k]


# Few distinct values, so that ties are frequent, among them both zeros.
SCORES = st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0**-126]), st.floats(-1, 1, width=32, allow_subnormal=False))


@settings(deadline=None)
@given(data=st.data(), predictions=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=SCORES))
@example(data=None, predictions=np.full((3, 6), 0.5, np.float32))
def test_order_is_that_of_sorted(data, predictions):
    num_classes = predictions.shape[1]
    ks = range(1, num_classes + 1) if data is None else [data.draw(st.integers(1, num_classes))]
    for k in ks:
        expected = [python_top_k(row, k) for row in predictions.tolist()]
        assert top_k_classes(predictions, k).tolist() == expected


def test_order_at_full_size():
    rng = np.random.default_rng(1)
    predictions = rng.random((20, 3862), dtype=np.float32).round(2)  # about 40 classes share each score
    assert top_k_classes(predictions, 20).tolist() == [python_top_k(row, 20) for row in predictions.tolist()]


# -------------------------------------------------------------------------------------------------- errors


def one_class(*ids):
    return [(list(ids), np.ones((len(ids), 1), np.float32))]


@pytest.mark.parametrize("bad", [b"a,b", "a\nb", b"a\rb", 'a"b', b"", b"\xff\xfe", "\ud800"])
def test_ids_that_the_format_cannot_hold(tmp_path, bad):
    with pytest.raises(ValueError, match="correct the `id` feature") as caught:
        write_submission(tmp_path / "a.csv", one_class("fine") + one_class("fine too", bad), top_k=1)
    assert f"video id {bad!r} (video 2 of the input)" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_ids_of_another_type(tmp_path):
    with pytest.raises(TypeError, match=r"video id 7 .* must be bytes or str. Received: int"):
        write_submission(tmp_path / "a.csv", one_class(7), top_k=1)


def test_more_pairs_than_classes(tmp_path):
    with pytest.raises(ValueError, match="--top_k=4 exceeds the number of classes, 3; lower it"):
        write_submission(tmp_path / "a.csv", [(["a"], np.ones((1, 3), np.float32))], top_k=4)
    with pytest.raises(ValueError, match=r"--top_k must be at least 1. Received: 0"):
        write_submission(tmp_path / "a.csv", [], top_k=0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite(tmp_path, value):
    predictions = np.zeros((2, 3), np.float32)
    predictions[1, 2] = value
    with pytest.raises(ValueError, match=rf"prediction for video 'b', class 2, is {value}, not a finite number"):
        write_submission(tmp_path / "a.csv", [(["a", "b"], predictions)], top_k=1)


@pytest.mark.parametrize("shape", [(3, 4), (2,), (2, 4, 1)])
def test_shapes_that_do_not_fit_the_ids(tmp_path, shape):
    with pytest.raises(ValueError, match=r"shape \[B, C\] for B video ids.* for 2 ids, the first .*'a'"):
        write_submission(tmp_path / "a.csv", [(["a", "b"], np.zeros(shape, np.float32))], top_k=1)


def test_crash_in_the_middle_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old submission\n")

    def batches():
        yield from one_class("a") * 1000
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        write_submission(path, batches(), top_k=1)
    assert path.read_text() == "old submission\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_unwritable_path_is_reported_before_the_first_batch():
    def batches():
        pytest.fail("predictions were computed for a file that cannot be written")
        yield

    with pytest.raises(OSError, match=r"'/proc/no/such/a\.csv'"):
        write_submission("/proc/no/such/a.csv", batches())
