"""Names, checksums and shards of a download plan; addresses of the dataset's servers."""

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yt8m_distill.data.download.plan import PlannedFile, check_partition, local_name, parse_plan, select_shard
from yt8m_distill.data.download.source import Source
from yt8m_distill.data.errors import DataError

MD5 = "0123456789abcdef0123456789abcdef"
ANY_JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("files"), inner, max_size=3),
    max_leaves=8,
)


def plan(*names, md5=MD5):
    return json.dumps({"files": {name: md5 for name in names}}).encode()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("trainaa.tfrecord", "train0000.tfrecord"),
        ("trainab.tfrecord", "train0001.tfrecord"),
        ("trainaA.tfrecord", "train0026.tfrecord"),
        ("traina0.tfrecord", "train0052.tfrecord"),
        ("trainba.tfrecord", "train0062.tfrecord"),
        ("validate99.tfrecord", "validate3843.tfrecord"),
        ("train-_.tfrecord", "train-_.tfrecord"),
        ("a.tfrecord", "a.tfrecord"),
    ],
)
def test_local_names(name, expected):
    assert local_name(name) == expected


def test_a_plan():
    files = parse_plan(plan("trainab.tfrecord", "trainaa.tfrecord", md5=MD5.upper()), "here")
    assert files == [PlannedFile("trainaa.tfrecord", MD5), PlannedFile("trainab.tfrecord", MD5)]


@pytest.mark.parametrize(
    "name",
    ["", "..", "../a.tfrecord", "/etc/a.tfrecord", "a/b.tfrecord", "a\\b.tfrecord", ".a.tfrecord", "a\n.tfrecord",
     "a.tfrecord\n", "\x1b[2Ja.tfrecord", "a\0.tfrecord", "ä.tfrecord", "C:a.tfrecord", "a", "a.tfrecord.part",
     "download_state.json", "a" * 300 + ".tfrecord"],
)  # fmt: skip
def test_a_hostile_name(name):
    with pytest.raises(DataError, match=r"here: .* is not the name of a shard") as error:
        parse_plan(plan(name), "here")
    assert str(error.value).isprintable() and len(str(error.value)) < 400


@pytest.mark.parametrize("md5", ["", "abc", MD5[:-1] + "g", MD5 + "0", None, 7, ["x" * 1000]])
def test_a_wrong_checksum(md5):
    with pytest.raises(DataError, match=r"here: trainaa\.tfrecord has the checksum .* which is no MD5") as error:
        parse_plan(plan("trainaa.tfrecord", md5=md5), "here")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("pair", [("ab-c_.tfrecord", "AB-c_.tfrecord"), ("Xaa.tfrecord", "xaa.tfrecord")])
def test_two_names_for_one_file(pair):
    with pytest.raises(DataError, match="would both be stored as"):
        parse_plan(plan(*pair), "here")


def test_a_name_that_occurs_twice():
    text = f'{{"files": {{"a.tfrecord": "{MD5}", "a.tfrecord": "{MD5[::-1]}"}}}}'.encode()
    with pytest.raises(DataError, match="a name occurs twice"):
        parse_plan(text, "here")


@settings(max_examples=40, deadline=None)
@given(st.binary() | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_other_text_is_refused_in_one_line(text):
    with pytest.raises(DataError) as error:
        parse_plan(text, "here")
    assert str(error.value).startswith("here: ") and "\n" not in str(error.value)


def test_shards():
    files = [PlannedFile(f"traina{letter}.tfrecord", MD5) for letter in "abcdefgh"]
    shards = [select_shard(files, number, 3) for number in (1, 2, 3)]
    assert sorted((file for shard in shards for file in shard), key=lambda file: file.name) == files
    # By another MD5: the last hexadecimal digit tells the remainder by 16.
    digit = subprocess.run(["md5sum"], input=b"trainaa.tfrecord", capture_output=True).stdout[31:32]
    assert files[0] in select_shard(files, int(digit, 16) + 1, 16)
    assert select_shard(files, 1, 1) == files
    for wrong in [(0, 3), (4, 3), (-1, -1)]:
        with pytest.raises(ValueError, match="1 <= X <= Y"):
            select_shard(files, *wrong)


@pytest.mark.parametrize("partition", ["2/frame/train", "3/frame/validate", "2/video/test", "1/frame_level/train"])
def test_partitions(partition):
    assert check_partition(partition) == partition


@pytest.mark.parametrize(
    "partition", ["", "2", "4/frame/train", "2/frame_level/train", "1/frame/train", "2/frame/dev", "2/frame/train/x"]
)
def test_no_partition(partition):
    with pytest.raises(ValueError, match=r"2/frame/train.*Received: "):
        check_partition(partition)


def test_addresses():
    source = Source("2/frame/train", "eu")
    assert source.plan_url == "http://data.yt8m.org/2/download_plans/frame_train.json"
    assert source.file_url("trainaa.tfrecord") == "http://eu.data.yt8m.org/2/frame/train/trainaa.tfrecord"
    source = Source("1/video_level/test", base_url="https://host:8080/yt8m/")
    assert source.plan_url == "https://host:8080/yt8m/1/download_plans/video_level_test.json"
    assert source.file_url("testaa.tfrecord") == "https://host:8080/yt8m/1/video_level/test/testaa.tfrecord"


@pytest.mark.parametrize("url", ["host/yt8m", "ftp://host", "http://", "http://a b", "http://h:x", "http://h/?q"])
def test_no_base_url(url):
    with pytest.raises(ValueError, match="A base URL is like"):
        Source("2/frame/train", base_url=url)


def test_no_mirror():
    with pytest.raises(ValueError, match="us, eu, asia"):
        Source("2/frame/train", "africa")
