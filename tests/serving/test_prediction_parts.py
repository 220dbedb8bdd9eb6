import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.tiny_runs import FRAMES, model_config
from yt8m_distill.serving import Shard, describe_run, merge_parts, prediction_parts, write_json_lines, write_part
from yt8m_distill.serving import write_submission as write_csv

RUN = {"model": "model.ckpt-3", "output_format": "csv"}
WRITERS = {"csv": write_csv, "jsonl": write_json_lines}


@given(num_files=st.integers(0, 60), count=st.integers(1, 80))
def test_shards_share_the_files(num_files, count):
    files = [f"file{number:02}" for number in range(num_files)]
    shares = [Shard(index, count).share_of(files) for index in range(count)]
    assert [file for share in shares for file in share] == files  # each once, and those of a shard follow each other
    assert {len(share) for share in shares} <= {num_files // count, -(-num_files // count)}


def test_parts_are_named_by_place_and_number():
    assert Shard(3, 8).part_of("out/sub.csv") == "out/sub.csv-00003-of-00008"
    assert Shard(123456, 1000000).part_of("gs://b/x") == "gs://b/x-123456-of-1000000"


@pytest.mark.parametrize("index, count", [(8, 8), (-1, 8), (0, 0)])
def test_no_such_shard(index, count):
    with pytest.raises(ValueError, match=f"The shards of {count} are numbered .* Received: shard {index}"):
        Shard(index, count)


def batch(*ids):
    """One batch, whose scores depend on the ids alone."""
    scores = np.array([[len(name), ord(name[0]) / 7, 0.1] for name in ids], np.float32).reshape([-1, 3])
    return [(list(ids), scores)] if ids else []


def write_parts(folder, videos_of_parts, output_format="csv", **changes):
    """Writes the parts of `folder/out` and returns its path."""
    path = str(folder / "out")
    run = {**RUN, "output_format": output_format, **changes}
    for index, ids in enumerate(videos_of_parts):
        shard = Shard(index, len(videos_of_parts))
        write_part(path, shard, run, lambda part, ids=ids: WRITERS[output_format](part, batch(*ids), top_k=2))
    return path


@pytest.mark.parametrize("output_format", WRITERS)
@pytest.mark.parametrize("parts", [["ab", "c", "def"], ["", "abc", "", "d"], ["abc"], ["", ""]])
def test_parts_make_the_file_that_one_process_writes(parts, output_format, tmp_path):
    videos = [[f"{letter}é" for letter in part] for part in parts]
    path = write_parts(tmp_path, videos, output_format)
    whole = [name for names in videos for name in names]
    assert merge_parts(path, len(parts)) == len(whole)
    WRITERS[output_format](tmp_path / "expected", batch(*whole), top_k=2)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "expected").read_bytes()
    # Merging again gives the same: the parts stay.
    assert merge_parts(path, len(parts)) == len(whole)
    assert len(list(tmp_path.glob("out-*"))) == 2 * len(parts)


def error_of(path, num_shards):
    """What merging says; it must leave an earlier output as it was."""
    with open(path, "w") as file:
        file.write("yesterday's")
    with pytest.raises(ValueError) as caught:
        merge_parts(path, num_shards)
    with open(path) as file:
        assert file.read() == "yesterday's"
    return str(caught.value)


def test_missing_parts_are_named(tmp_path):
    path = write_parts(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "out-00001-of-00004").unlink()
    (tmp_path / "out-00003-of-00004.json").unlink()  # unfinished
    expected = (
        f"2 of the 4 parts of {path} are missing or unfinished, such as {path}-00001-of-00004. Predict these first: "
        "--num_shards=4 with --shard_index = 1, 3."
    )
    assert error_of(path, 4) == expected
    error = error_of(path, 30)
    assert "30 of the 30 parts" in error and error.endswith("--shard_index = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 ....")


def test_a_part_that_is_predicted_again_and_fails_does_not_count(tmp_path):
    path = write_parts(tmp_path, ["a", "b"])

    def fail(part):
        raise OSError("the machine was lost")

    with pytest.raises(OSError, match="lost"):
        write_part(path, Shard(1, 2), RUN, fail)
    assert "1 of the 2 parts" in error_of(path, 2)


def test_parts_of_different_runs(tmp_path):
    path = write_parts(tmp_path, ["a", "b"])
    write_part(path, Shard(1, 2), {**RUN, "model": "model.ckpt-4"}, lambda part: write_csv(part, batch("b"), top_k=2))
    expected = (
        f"{path}-00001-of-00002 is of another run than {path}-00000-of-00002: its model is 'model.ckpt-4', not "
        "'model.ckpt-3'. Predict one of the two again."
    )
    assert error_of(path, 2) == expected


@pytest.mark.parametrize("text", ["", "[]", '{"num_rows": 1}', '{"num_rows": "1", "output_format": "csv"}', "\xff"])
def test_a_file_that_describes_no_part(text, tmp_path):
    path = write_parts(tmp_path, ["a", "b"])
    (tmp_path / "out-00001-of-00002.json").write_text(text, encoding="latin-1")
    assert error_of(path, 2) == (
        f"{path}-00001-of-00002.json: does not describe a part. Predict {path}-00001-of-00002 again."
    )


@pytest.mark.parametrize(
    "output_format, change, message",
    [
        ("csv", lambda text: text.replace(b"VideoId", b"Class"), "does not begin with the header 'VideoId,LabelConf"),
        ("csv", lambda text: b"", "does not begin with the header"),
        ("csv", lambda text: text[:-1], "line 3 is not a whole row of predictions"),
        ("csv", lambda text: text.replace(b"c,", b""), "line 3 is not a whole row of predictions"),
        ("csv", lambda text: text[: text.index(b"c,")], "holds 1 rows instead of the 2 that were written"),
        ("csv", lambda text: text + b"d,0 1\n", "holds 3 rows instead of the 2 that were written"),
        ("jsonl", lambda text: text[:-1], "line 2 is not a whole row of predictions"),
        ("jsonl", lambda text: text[:-9] + b"\n", "line 2 is not a whole row of predictions"),
        ("jsonl", lambda text: text.replace(b"video_id", b"id"), "line 1 is not a whole row of predictions"),
        ("jsonl", lambda text: b'[3]\n{"video_id": 3}\n', "line 1 is not a whole row of predictions"),
        ("jsonl", lambda text: b"", "holds 0 rows instead of the 2 that were written"),
    ],
)
def test_damaged_parts(output_format, change, message, tmp_path):
    path = write_parts(tmp_path, ["a", "bc"], output_format)
    part = tmp_path / "out-00001-of-00002"
    part.write_bytes(change(part.read_bytes()))
    error = error_of(path, 2)
    assert error.startswith(f"{part}: {message}") and error.endswith("Predict this part again.")


@pytest.mark.parametrize("output_format", WRITERS)
@pytest.mark.parametrize("parts, first, second", [(["ab", "c", "da"], 0, 2), (["ab", "cdc", "e"], 1, 1)])
def test_a_video_that_comes_twice(parts, first, second, output_format, tmp_path):
    path = write_parts(tmp_path, parts, output_format)
    name = {0: "a", 1: "c"}[first]
    assert error_of(path, 3) == (
        f"{path}-{second:05}-of-00003: has a row of video {name!r}, and so has {path}-{first:05}-of-00003. Its record "
        "is in the input twice; remove one of them."
    )


def test_ids_of_equal_hash_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_parts, "hash", lambda video_id: 5, raising=False)
    path = write_parts(tmp_path, ["ab", "c"])
    assert merge_parts(path, 2) == 3
    path = write_parts(tmp_path, ["ab", "b"])
    assert "has a row of video 'b'" in error_of(path, 2)


# ----------------------------------------------------------------------------------------------- what a run is


@pytest.fixture
def checkpoints(tmp_path):
    for name, content in (("model.ckpt-1", b"checksums"), ("model.ckpt-2", b"other checksums")):
        (tmp_path / f"{name}.index").write_bytes(content)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "model.ckpt-1.index").write_bytes(b"checksums")
    return tmp_path


def test_a_run_is_its_model_its_files_and_its_settings(checkpoints):
    def described(checkpoint="model.ckpt-1", files=("a", "b"), top_k=20, **budget):
        config = model_config("FrameLevelLogisticModel", FRAMES, **budget)
        return describe_run(config, f"{checkpoints}/{checkpoint}", list(files), top_k=top_k)

    run = described()
    assert run == described() == described("copy/model.ckpt-1")  # wherever the model lies
    assert run == json.loads(json.dumps(run)) and set(run) == {"model", "input_files", "top_k"}
    assert run["model"].startswith("model.ckpt-1, ") and run["input_files"].startswith("2, ")
    others = [
        ("model", described("model.ckpt-2")),
        ("model", described(num_sampled_frames=3)),
        ("input_files", described(files=("a", "c"))),
        ("input_files", described(files=("a", "b", "c"))),
        ("top_k", described(top_k=3)),
    ]
    for changed, other in others:
        assert [name for name in run if run[name] != other[name]] == [changed]


def test_weights_that_change_under_the_same_name(checkpoints):
    before = describe_run(model_config(), f"{checkpoints}/model.ckpt-1", ["a"])
    (checkpoints / "model.ckpt-1.index").write_bytes(b"another run's checksums")
    assert describe_run(model_config(), f"{checkpoints}/model.ckpt-1", ["a"])["model"] != before["model"]
