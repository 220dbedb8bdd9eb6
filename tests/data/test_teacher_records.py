import numpy as np
import pytest
import tensorflow as tf

from yt8m_distill.data.teacher_records import TeacherRecords, fingerprints

IDS = [b"v000", b"v001"]
VIDEOS = [b"the record of v000", b"the record of v001"]
FINGERPRINTS = fingerprints(VIDEOS).numpy()
PREDICTIONS = np.array([[0.5, 0.01, 0.9998, 0.03, 0.02], [1e-6, 0.25, 0.0, 1.0, 0.75]])
ENCODINGS = np.array([[1.5, -2.0], [1e6, 0.0001]])
SOURCE = tf.constant(["in a record 0", "in a record 1"])


def parse(records, serialized, ids=IDS, videos=VIDEOS):
    return records.parse(tf.constant(serialized), tf.constant(ids), tf.constant(videos), SOURCE)


def test_the_record_on_disk():
    """The format is frozen: a change would make every cache unreadable."""
    (record, _) = TeacherRecords(5, 2, 2).serialize(IDS, FINGERPRINTS, PREDICTIONS, ENCODINGS)
    features = tf.train.Example.FromString(record).features.feature
    assert sorted(features) == ["classes", "encoding", "id", "logits", "rest", "video"]
    assert features["id"].bytes_list.value[0] == b"v000"
    assert features["video"].int64_list.value[0] == 7099044783127633480  # of another TensorFlow or machine, too
    assert features["classes"].bytes_list.value[0] == b"\x00\x00\x02\x00"
    # 0 in float16, and log(.9998 / .0002) = 8.517 in steps of 1/128: 8.5156 = (1 + 66/1024) 8.
    assert features["logits"].bytes_list.value[0] == b"\x00\x00\x42\x48"
    np.testing.assert_allclose(features["rest"].float_list.value[0], (0.01 + 0.03 + 0.02) / 3, rtol=1e-6)
    assert features["encoding"].bytes_list.value[0] == b"\x00\x3e\x00\xc0"


def test_the_rest_gets_the_mean_of_what_is_left():
    parsed = parse(TeacherRecords(5, 2), TeacherRecords(5, 2).serialize(IDS, FINGERPRINTS, PREDICTIONS))
    rest = (1e-6 + 0.25 + 0) / 3
    expected = [[0.5, 0.02, 0.9998, 0.02, 0.02], [rest, rest, rest, 1.0, 0.75]]
    assert list(parsed) == ["teacher_predictions"]
    np.testing.assert_allclose(parsed["teacher_predictions"], expected, rtol=2e-4)
    np.testing.assert_allclose(tf.reduce_sum(parsed["teacher_predictions"], axis=1), PREDICTIONS.sum(axis=1), rtol=1e-3)


def test_all_classes_keep_three_digits_of_p_and_of_1_minus_p():
    rng = np.random.default_rng(0)
    logits = rng.uniform(-14, 9, (20, 300))  # in float32, 1 - p of a larger one has no three digits
    predictions = 1 / (1 + np.exp(-logits))
    records = TeacherRecords(300, 300)
    ids = [b"%d" % number for number in range(20)]
    serialized = tf.constant(records.serialize(ids, fingerprints(ids).numpy(), predictions))
    parsed = records.parse(serialized, *[tf.constant(ids)] * 3)
    kept = parsed["teacher_predictions"].numpy()
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, predictions, rtol=5e-3)
    np.testing.assert_allclose(1 - kept.astype(np.float64), 1 - predictions, rtol=5e-3)


def test_encodings_are_float16_within_its_range():
    records = TeacherRecords(5, 1, 2)
    parsed = parse(records, records.serialize(IDS, FINGERPRINTS, PREDICTIONS, ENCODINGS))
    assert parsed["teacher_encoding"].dtype == tf.float32
    np.testing.assert_allclose(parsed["teacher_encoding"], [[1.5, -2.0], [65504, 0.0001]], rtol=1e-3)


def test_a_record_of_another_video_is_refused():
    records = TeacherRecords(5, 1)
    serialized = records.serialize(IDS, FINGERPRINTS, PREDICTIONS)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"video 'v002' in a record 1: .* another video"):
        parse(records, serialized, [b"v000", b"v002"])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"video 'v001' in a record 1: it is not as the teacher"):
        parse(records, serialized, videos=[VIDEOS[0], b"the record of v001 with one more byte"])


@pytest.mark.parametrize(
    "arguments, message",
    [((70000, 5), "at most 65536 classes"), ((5, 6), "top_n must be from 1 to"), ((5, 0), "top_n must be")],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        TeacherRecords(*arguments)
