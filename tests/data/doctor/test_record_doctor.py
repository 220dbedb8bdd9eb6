"""The record doctor on whole, damaged, odd and real files; also the modules that it is made of."""

import math
import pathlib
import pickle
import struct
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.records import (
    frame_record,
    make_ratings,
    make_videos,
    real_files,
    record_of,
    video_record,
    with_segments,
    write_records,
    write_segments,
    write_videos,
)
from yt8m_distill.data import RecordSchema
from yt8m_distill.data.doctor.census import FRAME_LEVEL, NEITHER, VIDEO_LEVEL, Census, Feature, distribution
from yt8m_distill.data.doctor.consistency import find_misfits, usual_kind, usual_widths
from yt8m_distill.data.doctor.examination import Expectations
from yt8m_distill.data.doctor.record_doctor import (
    KEPT_PROBLEMS,
    Examination,
    examine_file,
    examine_files,
    examine_lengths,
    split_into_tasks,
)
from yt8m_distill.data.doctor.suggested_flags import suggest_flags

FRAMES = RecordSchema(("rgb", "audio"), (8, 4), frame_features=True, num_classes=5, max_frames=20)
MEANS = RecordSchema(("mean_rgb", "mean_audio"), (8, 4), num_classes=5)
RGB = {"rgb": np.ones([3, 8], np.uint8), "audio": np.ones([3, 4], np.uint8)}
MEAN = {"mean_rgb": [1.0] * 8, "mean_audio": [2.0] * 4}


def examine(tmp_path, *records, **expected):
    return examine_file(write_records(tmp_path / "one.tfrecord", records), Expectations(**expected))


def all_of(examination):
    """Everything that an examination says, comparable."""
    files = [{**vars(report), "id_hashes": report.id_hashes.tolist()} for report in examination.files]
    return files, examination.census


def test_counts_frame_level_records(tmp_path):
    videos = make_videos(FRAMES, 7, num_frames=[3, 1, 20])
    examination = examine_file(*write_videos(tmp_path, videos, FRAMES))
    (report,), census = examination.files, examination.census
    assert (report.num_good, report.num_flawed, report.num_damaged, report.problems) == (7, 0, 0, [])
    assert report.num_bytes == pathlib.Path(report.path).stat().st_size
    assert report.layout.kinds == {FRAME_LEVEL: 7} and report.layout.id_keys == {"id": 7}
    assert report.layout.features == {
        Feature("rgb", FRAME_LEVEL, "bytes", 8): 7,
        Feature("audio", FRAME_LEVEL, "bytes", 4): 7,
    }
    assert census.num_frames == {3: 3, 1: 2, 20: 2}
    assert census.labels == Counter(label for video in videos for label in video.labels)
    assert census.num_labels == Counter(len(video.labels) for video in videos)
    assert not census.remarks and not census.segments


def test_counts_video_level_records(tmp_path):
    zero = {"mean_rgb": [0.0] * 8, "mean_audio": [0.0] * 3 + [1.0]}
    records = [
        video_record(MEAN, "a", [4, 4, 2]),
        video_record(zero, "b", None, id_key="video_id"),
        video_record(MEAN, "c", []),
        frame_record({}, "d", [1], means=MEAN),  # a SequenceExample without frames reads as an Example
    ]
    examination = examine(tmp_path, *records)
    (report,), census = examination.files, examination.census
    assert report.num_good == 4 and report.layout.kinds == {VIDEO_LEVEL: 4}
    assert report.layout.id_keys == {"id": 3, "video_id": 1}
    assert report.layout.features[Feature("mean_audio", VIDEO_LEVEL, "float", 4)] == 4
    assert census.labels == {4: 1, 2: 1, 1: 1} and census.num_labels == {2: 1, 0: 1, 1: 1}
    assert not census.num_frames
    assert census.remarks == {
        "of zeros in mean_rgb": 1,
        "without the key labels": 1,
        "with a label twice": 1,
    }


def test_counts_rated_segments(tmp_path):
    videos = make_videos(FRAMES, 4, num_frames=20)
    ratings = make_ratings(videos, FRAMES)
    examination = examine_file(*write_segments(tmp_path, videos, ratings, FRAMES))
    assert examination.files[0].num_good == 4
    assert examination.census.segments == {
        "videos": 4,
        "segments": sum(len({start for _, start, _ in of_video}) for of_video in ratings),
        "ratings": sum(map(len, ratings)),
        "positive ratings": sum(score > 0 for of_video in ratings for _, _, score in of_video),
    }
    assert "--segment_labels" in suggest_flags(examination).flags


@pytest.mark.parametrize(
    "record, flaw",
    [
        (b"\xff\xff", "is neither a tf.train.Example nor a tf.train.SequenceExample with features"),
        (b"", "is neither a tf.train.Example nor a tf.train.SequenceExample with features"),
        (video_record({}, "a"), "holds neither frames nor a vector of floats"),
        (video_record(MEAN, None), "has neither 'id' nor 'video_id'"),
        (video_record(MEAN, ""), "has an empty id"),
        (
            video_record(MEAN, "a,b"),
            "id b'a,b' holds a comma, a double quote or a line break, for which the CSV format has no quoting: "
            "inference.py cannot write it",
        ),
        (video_record({**MEAN, "id": [1.0]}, None), "'id' is not one bytes value"),
        (video_record({"mean_rgb": [1.0, math.nan]}), "feature 'mean_rgb' holds NaN or infinity"),
        (video_record({"mean_rgb": [1.0, -math.inf]}), "feature 'mean_rgb' holds NaN or infinity"),
        (video_record({**MEAN, "labels": [1.0]}, labels=None), "'labels' are float, not int64"),
        (video_record(MEAN, labels=[1, -1, -2]), "label -2, -1 is outside [0, num_classes=5)"),
        (video_record(MEAN, labels=[4, 5]), "label 5 is outside [0, num_classes=5)"),
        (
            frame_record({**RGB, "audio": np.ones([2, 4], np.uint8)}),
            "features differ in their number of frames: audio 2, rgb 3",
        ),
        (frame_record({"rgb": [b"12345678", b"1234"]}), "frames of feature 'rgb' differ: 4 bytes, 8 bytes"),
        (frame_record({"rgb": [b"", b""]}), "frames of feature 'rgb' are empty"),
        (
            with_segments(frame_record(RGB), [1, 2], [0], [1.0, 0.0]),
            "rated segments are lists of different length: segment_labels 2, segment_start_times 1, segment_scores 2",
        ),
        (with_segments(frame_record(RGB), [1], [-5], [1.0]), "segment_start_times holds -5"),
        (with_segments(frame_record(RGB), [1], [0], [math.nan]), "segment_scores holds NaN or infinity"),
        (with_segments(frame_record(RGB), [5], [0], [1.0]), "segment label 5 is outside [0, num_classes=5)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # protobuf orders the bytes of a record as it likes
)
def test_flaws_of_whole_records(record, flaw, tmp_path):
    (report,) = examine(tmp_path, record_of(make_videos(FRAMES, 1)[0], FRAMES), record, num_classes=5).files
    assert (report.num_good, report.num_flawed, report.num_damaged) == (1, 1, 0)
    assert report.problems == [f"record 1: {flaw}"]


def test_labels_without_a_limit(tmp_path):
    records = [video_record(MEAN, "a", [10**6]), video_record(MEAN, "b", [-1])]
    assert examine(tmp_path, *records).files[0].problems == ["record 1: label -1 is negative"]


def test_entries_of_several_frames_and_of_none(tmp_path):
    records = [frame_record({"rgb": RGB["rgb"]}, "a", frames_per_entry=3), frame_record({"rgb": []}, "b")]
    examination = examine(tmp_path, *records, feature_sizes={"rgb": 8})
    assert examination.files[0].num_good == 2 and examination.census.num_frames == {3: 1, 0: 1}
    assert not find_misfits(examination, Expectations(feature_sizes={"rgb": 8}))


def test_odd_entries_of_a_feature_list(tmp_path):
    example = tf.train.SequenceExample.FromString(frame_record(RGB))
    example.feature_lists.feature_list["rgb"].feature[1].bytes_list.value.append(b"more")
    example.feature_lists.feature_list["audio"].feature[2].Clear()
    report = examine(tmp_path, example.SerializeToString()).files[0]
    assert set(report.problems) == {
        "record 0: frames of feature 'rgb' differ: 8 bytes, 12 bytes",
        "record 0: frames of feature 'rgb' have several values each",
        "record 0: frames of feature 'audio' differ: 4 bytes, 0 none",
    }


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "is empty"),
        (b"VideoId,Labels\nabc,3\n", "is not a TFRecord file, but text"),
        (b"\n<!DOCTYPE html><title>404", "is not a TFRecord file, but an HTML page, perhaps of a failed download"),
        (b"\x1f\x8b\x08" + bytes(40), "is not a TFRecord file, but compressed with gzip"),
        (bytes(range(100, 200)), "is not a TFRecord file"),
        (b"<html>403", "is not a TFRecord file, but an HTML page, perhaps of a failed download"),
        (b"\x20\x00\x00", "truncated in record 0"),
    ],
)
@pytest.mark.parametrize("look", [examine_file, examine_lengths])
def test_what_is_no_file_of_records(look, content, problem, tmp_path):
    (tmp_path / "odd.tfrecord").write_bytes(content)
    report = look(str(tmp_path / "odd.tfrecord")).files[0]
    assert report.problems == [problem] and report.is_damaged


@pytest.mark.parametrize("look", [examine_file, examine_lengths])
def test_what_cannot_be_read(look, tmp_path):
    (tmp_path / "folder.tfrecord").mkdir()
    for name in ("folder.tfrecord", "gone.tfrecord"):
        (problem,) = look(str(tmp_path / name)).files[0].problems
        assert problem.startswith("cannot be read: ")


def test_problems_of_a_file_are_bounded(tmp_path):
    report = examine(tmp_path, *[b"\xff"] * (KEPT_PROBLEMS + 5)).files[0]
    assert len(report.problems) == KEPT_PROBLEMS and report.num_problems == KEPT_PROBLEMS + 5


@pytest.fixture(scope="module")
def small_shard(tmp_path_factory):
    """Its bytes, the start of each record, and of its end."""
    folder = tmp_path_factory.mktemp("shard")
    videos = make_videos(FRAMES, 6, num_frames=[2, 0, 5])
    (path,) = write_videos(folder, videos, FRAMES)
    content, starts = pathlib.Path(path).read_bytes(), [0]
    while starts[-1] < len(content):
        starts.append(starts[-1] + 16 + struct.unpack_from("<Q", content, starts[-1])[0])
    return content, starts


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_found_and_nothing_else(small_shard, tmp_path, data):
    content, starts = small_shard
    num_records = len(starts) - 1
    flips = data.draw(st.sets(st.integers(0, 8 * len(content) - 1), max_size=3))
    cuts = st.sampled_from([size for size in range(1, len(content)) if size not in starts])
    size = data.draw(cuts if not flips else st.one_of(st.just(len(content)), cuts))
    damaged = bytearray(content)
    for bit in flips:
        damaged[bit // 8] ^= 1 << bit % 8
    path = tmp_path / "damaged.tfrecord"
    path.write_bytes(damaged[:size])
    report = examine_file(str(path)).files[0]
    # Of which records a bit differs or is missing, and where the reader can go no further.
    spans = list(zip(starts, starts[1:]))
    touched = {number for number, (start, end) in enumerate(spans) if damaged[start:end] != content[start:end]}
    is_end = [damaged[start : start + 12] != content[start : start + 12] or end > size for start, end in spans]
    end = is_end.index(True) if True in is_end else num_records
    assert report.num_good == len(set(range(end)) - touched)
    assert report.num_damaged == len([number for number in touched if number < end]) + (end < num_records) >= 1
    assert report.ends_early == (end < num_records)
    assert report.num_flawed == 0 and report.num_problems == report.num_damaged
    assert bool(examine_lengths(str(path)).files[0].problems) == report.ends_early


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=st.binary(max_size=60) | st.binary(max_size=30).map(lambda tail: b"\n" + tail))
def test_any_bytes_may_be_a_record(tmp_path, payload):
    report = examine(tmp_path, payload, video_record(MEAN)).files[0]
    assert report.num_records == 2 and report.num_damaged == 0 and report.num_flawed + report.num_good == 2


counters = st.dictionaries(st.integers(0, 5), st.integers(1, 9)).map(Counter)
censuses = st.builds(Census, counters, counters, counters, counters, counters)


@settings(max_examples=30, deadline=None)
@given(censuses, censuses, censuses)
def test_merging_is_associative(a, b, c):
    assert (a + b) + c == a + (b + c) == c + a + b
    assert a + Census() == a
    assert (a + b).labels == a.labels + b.labels


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_a_distribution_is_that_of_the_values(values):
    found = distribution(Counter(values))
    assert found[:2] == (min(values), np.median(values))
    assert found.mean == pytest.approx(np.mean(values)) and found.max == max(values)


def test_the_distribution_of_nothing():
    assert distribution(Counter()) == (0, 0.0, 0.0, 0)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Frame-level files, and one each of what does not belong among them."""
    folder = tmp_path_factory.mktemp("mixed")
    files = write_videos(folder, make_videos(FRAMES, 12), FRAMES, num_shards=3, prefix="good")
    wide = RecordSchema(("rgb", "audio"), (16, 4), frame_features=True, num_classes=5)
    videos = make_videos(FRAMES, 14)
    odd = [record_of(videos[12], FRAMES), record_of(make_videos(wide, 1)[0], wide, video_id="wide")]
    lacking = [frame_record({"rgb": RGB["rgb"]}, "lacking"), frame_record({"rgb": [], "audio": []}, "no frames")]
    (folder / "text.tfrecord").write_text("id,labels\n")
    return files + [
        *write_videos(folder, make_videos(MEANS, 2), MEANS, prefix="means", video_id="m"),
        write_records(folder / "odd.tfrecord", odd),
        write_records(folder / "old.tfrecord", [record_of(videos[13], FRAMES, id_key="video_id")]),
        write_records(folder / "short.tfrecord", lacking),
        str(folder / "text.tfrecord"),
    ]


def test_files_that_do_not_fit_are_named(mixed):
    examination = examine_files(mixed)
    assert usual_kind(examination.layout) == FRAME_LEVEL
    assert usual_widths(examination.layout) == {"rgb": 8, "audio": 4}
    misfits = find_misfits(examination, Expectations())
    assert {pathlib.Path(path).name: problems for path, problems in misfits.items()} == {
        "means00.tfrecord": ["2 of 2 records are video-level; most are frame-level"],
        "odd.tfrecord": [
            "feature 'rgb' has 16 bytes a frame in 1 record (the first is record 1), not 8 as in most records"
        ],
        "old.tfrecord": ["1 of 1 records have 'video_id' as the key of the id; most have 'id'"],
        "short.tfrecord": ["1 record without feature 'audio' of bytes, as in most records"],
    }


def test_features_that_the_user_expects(mixed):
    expected = Expectations(feature_sizes={"rgb": 8, "depth": 4})
    misfits = find_misfits(examine_files(mixed[:1], expected), expected)
    assert misfits == {mixed[0]: ["4 records without feature 'depth' of bytes, as --feature_sizes says"]}
    expected = Expectations(feature_sizes={"rgb": 16})
    (problems,) = find_misfits(examine_files(mixed[:1], expected), expected).values()
    assert problems == [
        "feature 'rgb' has 8 bytes a frame in 4 records (the first is record 0), not 16 as --feature_sizes says"
    ]


def test_vectors_beside_frames(tmp_path):
    examination = examine(tmp_path, frame_record(RGB, means={"mean_rgb": [1.0] * 8}))
    assert usual_widths(examination.layout) == {"rgb": 8, "audio": 4}
    assert not find_misfits(examination, Expectations(feature_sizes={"mean_rgb": 8}))
    assert find_misfits(examination, Expectations(feature_sizes={"mean_rgb": 9}))


def test_floats_where_frames_should_be(tmp_path):
    example = tf.train.SequenceExample.FromString(frame_record(RGB))
    example.feature_lists.feature_list["rgb"].Clear()
    example.feature_lists.feature_list["rgb"].feature.add().float_list.value.extend([1.0] * 8)
    examination = examine_file(write_records(tmp_path / "floats", [example.SerializeToString()]))
    expected = Expectations(feature_sizes={"rgb": 8})
    (problems,) = find_misfits(examination, expected).values()
    assert problems == ["1 record without feature 'rgb' of bytes, as --feature_sizes says; it is of float"]


def test_any_number_of_processes_finds_the_same(mixed):
    alone, seen = examine_files(mixed), []
    shared = examine_files(mixed, num_processes=2, on_done=lambda *done: seen.append(done))
    assert all_of(shared) == all_of(alone)
    assert seen[-1] == (len(mixed), sum(pathlib.Path(path).stat().st_size for path in mixed))
    total = Examination()
    for path in reversed(mixed):
        total = total + examine_file(path)
    assert all_of(total) == all_of(alone)


def test_an_examination_is_small(mixed):
    assert len(pickle.dumps(examine_file(mixed[0]))) < 3000


def test_tasks_cover_all_files_in_order():
    sizes = [(str(number), number * 10**7) for number in range(200)]
    tasks = split_into_tasks(sizes, 3)
    assert [path for task in tasks for path in task] == [path for path, _ in sizes] and len(tasks) >= 6
    assert max(map(len, tasks)) <= 64
    assert [len(task) for task in split_into_tasks([("a", 5), ("b", 5), ("c", 0)], 2)] == [1, 1, 1]
    assert len(split_into_tasks([(str(number), 0) for number in range(130)], 2)) == 130


def test_repeated_ids_are_found_within_and_across_files(tmp_path):
    files = [
        write_records(tmp_path / "a", [video_record(MEAN, video_id) for video_id in ("x", "y", "z", "y")]),
        write_records(tmp_path / "b", [video_record(MEAN, video_id) for video_id in ("w", "v")]),
        write_records(tmp_path / "c", [b"", video_record(MEAN, "y"), video_record(MEAN, "x"), video_record(MEAN, "y")]),
    ]
    repeated = examine_files(files).find_repeated_ids()
    assert (repeated.num_distinct, repeated.num_repeated) == (5, 2)
    assert repeated.records == {files[0]: 3, files[2]: 3}
    assert repeated.examples == [
        ("x", [(files[0], 0), (files[2], 2)]),
        ("y", [(files[0], 1), (files[0], 3), (files[2], 1)]),
    ]


def test_a_copied_file_repeats_all_its_ids(tmp_path):
    records = [video_record(MEAN, f"id{number}") for number in range(30)]
    files = [write_records(tmp_path / name, records) for name in ("a", "b")]
    repeated = examine_files(files).find_repeated_ids()
    assert repeated.num_repeated == 30 and repeated.records == dict.fromkeys(files, 30)
    assert [example.video_id for example in repeated.examples] == ["id0", "id1", "id2", "id3", "id4"]


def suggested(tmp_path, record, num_classes=None):
    return suggest_flags(examine(tmp_path, *[record] * 2), num_classes)


@pytest.mark.parametrize(
    "label, id_key, names, num_classes",
    [
        (3, "id", ("mean_rgb", "mean_audio"), 3862),
        (3, "video_id", ("mean_rgb", "mean_audio"), 4716),
        (4799, "video_id", ("mean_inc3",), 4800),
        (4000, "id", ("mean_rgb",), 4716),
        (4716, "id", ("mean_rgb",), 4800),
        (500, "video_id", ("audio_embedding",), 527),
        (500, "video_id", ("own_feature",), 527),
        (9999, "id", ("mean_rgb",), 10000),
    ],
)
def test_num_classes_is_guessed_of_known_datasets(label, id_key, names, num_classes, tmp_path):
    record = video_record({name: [1.0] for name in names}, labels=[label], id_key=id_key)
    suggestion = suggested(tmp_path, record)
    assert f"--num_classes={num_classes}" in suggestion.flags
    (reason,) = suggestion.reasons
    assert reason.startswith("--num_classes is a guess: ") and f"the largest label is {label}" in reason
    assert suggested(tmp_path, record, 7).flags[-1] == "--num_classes=7" and not suggested(tmp_path, record, 7).reasons


@pytest.mark.parametrize(
    "num_frames, flag", [(301, ["--max_frames=301"]), (300, []), (151, []), (150, ["--max_frames=150"])]
)
def test_max_frames_is_suggested_where_it_matters(num_frames, flag, tmp_path):
    suggestion = suggested(tmp_path, frame_record({"rgb": np.ones([num_frames, 2], np.uint8)}))
    features = ["--frame_features", "--feature_names=rgb", "--feature_sizes=2"]
    assert suggestion.flags == [*features, "--num_classes=3862", *flag]
    assert any("drops frames of 2 videos" in reason for reason in suggestion.reasons) == (num_frames > 300)


def test_no_flags_fit_records_without_features(tmp_path):
    assert suggested(tmp_path, video_record({})).flags == []
    assert examine(tmp_path, video_record({})).layout.kinds == {NEITHER: 1}


REAL = [
    ("audioset/train*", 16619, 16619, FRAME_LEVEL, "video_id", 527, 2.4, {"audio_embedding": 128}),
    ("audioset/validate*", 5541, 5541, FRAME_LEVEL, "video_id", 527, 2.4, {"audio_embedding": 128}),
    ("yt8m_2018_video/*5?.tfrecord", 2952, 2952, VIDEO_LEVEL, "id", 3862, 3.0, {"mean_rgb": 1024, "mean_audio": 128}),
    ("yt8m_2017_video/v*", 368, 368, VIDEO_LEVEL, "video_id", 4716, None, {"mean_rgb": 1024, "mean_audio": 128}),
    ("yt8m_2017_video/t*", 163, 0, VIDEO_LEVEL, "video_id", 4716, None, {"mean_rgb": 1024, "mean_audio": 128}),
    ("yt8m_2018_frame/*", 1, 1, FRAME_LEVEL, "id", 3862, 1.0, {"rgb": 1024, "audio": 128}),
]


@pytest.mark.parametrize("pattern, videos, labelled, kind, id_key, num_classes, num_labels, widths", REAL)
def test_real_records(pattern, videos, labelled, kind, id_key, num_classes, num_labels, widths):
    files = real_files(pattern)
    examination = examine_files(files, Expectations(num_classes))
    assert sum(report.num_good for report in examination.files) == videos
    assert not any(report.problems for report in examination.files) and not find_misfits(examination, Expectations())
    layout, census = examination.layout, examination.census
    assert (layout.kinds, layout.id_keys) == ({kind: videos}, {id_key: videos})
    assert usual_widths(layout) == widths
    assert sum(census.num_labels.values()) == labelled and census.num_labels[0] == 0
    assert census.remarks["without the key labels"] == videos - labelled
    if num_labels is not None:
        assert distribution(census.num_labels).mean == pytest.approx(num_labels, abs=0.05)
    flags = suggest_flags(examination).flags
    assert f"--num_classes={num_classes}" in flags and ("--frame_features" in flags) == (kind == FRAME_LEVEL)
    if pattern.startswith("audioset"):
        frames = distribution(census.num_frames)
        assert frames.min == (1 if "train" in pattern else 2) and frames.max == 10 and "--max_frames=10" in flags
        assert census.num_frames[10] / videos == pytest.approx(0.98, abs=0.006)
    if pattern.startswith("yt8m_2018_frame"):
        assert census.num_frames == {170: 1} and census.labels == {11: 1}
    repeated = examination.find_repeated_ids()
    assert (repeated.num_distinct, repeated.num_repeated) == (videos, 0)
