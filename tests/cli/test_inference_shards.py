"""inference.py --num_shards, or as TF_CONFIG's workers, and --merge_shards."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.models.small_ensemble import make_model
from tests.records import make_videos, write_records, write_videos
from tests.training.tiny_runs import FRAMES, MEANS, model_config, save_model
from yt8m_distill.cli import inference

NUM_VIDEOS = 11
INFERENCE = pathlib.Path(__file__).parents[2] / "inference.py"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Eleven videos in five uneven files, one of them empty, and a model of them; frames and a model of frames."""
    root = tmp_path_factory.mktemp("places")
    videos = make_videos(MEANS, NUM_VIDEOS)
    for number, (first, end) in enumerate([(0, 1), (1, 6), (6, 6), (6, 8), (8, NUM_VIDEOS)]):
        write_videos(root, videos[first:end], MEANS, prefix=f"records{number}-")
    save_model(root / "model", make_model(model_config()), step=30)
    write_videos(root, make_videos(FRAMES, 2), FRAMES, prefix="frames")
    save_model(root / "frame_model", make_model(model_config("FrameLevelLogisticModel", FRAMES)))
    return root


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def infer(places, output, *flags):
    common = [f"--train_dir={places}/model", f"--input_data_pattern={places}/records*", "--top_k=2", "--batch_size=1"]
    return inference.main(["inference.py", *common, f"--output_file={output}", *flags])


def merge(output, num_shards):
    return inference.main(["inference.py", "--merge_shards", f"--num_shards={num_shards}", f"--output_file={output}"])


def cluster(kind, index, chiefs=0, workers=2):
    sizes = {"chief": chiefs, "worker": workers}
    addresses = {name: [f"{name}{number}:1" for number in range(size)] for name, size in sizes.items() if size}
    return json.dumps({"cluster": addresses, "task": {"type": kind, "index": index}})


@pytest.fixture(scope="module")
def whole(places):
    """By output format, what one process writes. Batches of one video, which no share of the files can change."""
    for output_format in ("csv", "jsonl"):
        assert infer(places, f"{places}/whole.{output_format}", f"--output_format={output_format}") == 0
    return {output_format: (places / f"whole.{output_format}").read_bytes() for output_format in ("csv", "jsonl")}


@pytest.mark.parametrize("num_shards, output_format", [(1, "csv"), (2, "jsonl"), (3, "csv"), (7, "csv")])
def test_the_parts_make_the_file_of_one_process(places, whole, num_shards, output_format, tmp_path, capsys):
    output = tmp_path / "out"
    for index in reversed(range(num_shards)):
        flags = [f"--num_shards={num_shards}", f"--shard_index={index}", f"--output_format={output_format}"]
        assert infer(places, output, *flags) == 0
        err = capsys.readouterr().err
        assert re.search(rf"number of input files: \d of 5, the share of shard {index} of {num_shards}\n", err)
    assert not output.exists()
    assert merge(output, num_shards) == 0
    assert capsys.readouterr().err == f"{num_shards} parts, {NUM_VIDEOS} predictions, merged into {output}\n"
    assert output.read_bytes() == whole[output_format]


def test_other_batches_change_no_more_than_a_last_digit(places, whole, tmp_path):
    for index in range(2):
        assert infer(places, tmp_path / "out", "--num_shards=2", f"--shard_index={index}", "--batch_size=4") == 0
    assert merge(tmp_path / "out", 2) == 0
    rows, expected_rows = (tmp_path / "out").read_text().splitlines()[1:], whole["csv"].decode().splitlines()[1:]
    assert len(rows) == len(expected_rows) == NUM_VIDEOS
    for text, expected_text in zip(rows, expected_rows):
        (video_id, *row), (expected_id, *expected) = (re.split("[ ,]", line) for line in (text, expected_text))
        assert video_id == expected_id and row[::2] == expected[::2]
        np.testing.assert_allclose([float(x) for x in row[1::2]], [float(x) for x in expected[1::2]], rtol=2e-6)


def test_two_workers_find_their_shares_in_tf_config(places, whole, tmp_path):
    """Two processes, which never speak to each other: nobody listens at the addresses."""
    argv = [sys.executable, str(INFERENCE), f"--train_dir={places}/model", f"--input_data_pattern={places}/records*"]
    argv += [f"--output_file={tmp_path}/out.csv", "--top_k=2", "--batch_size=1"]
    workers = []
    try:
        for index in range(2):
            env = {**os.environ, "TF_CONFIG": cluster("worker", index), "CUDA_VISIBLE_DEVICES": ""}
            workers.append(subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True))
        errors = [worker.communicate(timeout=120)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], errors
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert "shard 0 of 2" in errors[0] and "shard 1 of 2" in errors[1]
    assert merge(tmp_path / "out.csv", 2) == 0
    assert (tmp_path / "out.csv").read_bytes() == whole["csv"]


@pytest.mark.parametrize(
    "config, flags, place",
    [
        (cluster("chief", 0, chiefs=1), [], "00000-of-00003"),
        (cluster("worker", 0, chiefs=1), [], "00001-of-00003"),
        (cluster("worker", 1, chiefs=1), [], "00002-of-00003"),
        (cluster("worker", 0, workers=1), [], None),
        (cluster("evaluator", 0), ["--num_shards=2", "--shard_index=1"], "00001-of-00002"),
    ],
    ids=["chief", "first worker", "second worker", "no cluster", "flags come first"],
)
def test_places_in_a_cluster(config, flags, place, places, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    assert infer(places, tmp_path / "out", *flags) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == ({f"out-{place}", f"out-{place}.json"} if place else {"out"})


def test_shards_pack_a_model_once_and_unpack_it_apart(places, whole, tmp_path):
    for index in (1, 0):
        archive = tmp_path / "model.tgz"
        flags = ["--num_shards=2", f"--shard_index={index}", f"--output_model_tgz={archive}"]
        assert infer(places, tmp_path / "out", *flags) == 0
        assert archive.exists() == (index == 0)
    for index in (0, 1):
        flags = [f"--input_model_tgz={archive}", "--train_dir=", f"--untar_model_dir={tmp_path}/unpacked"]
        assert infer(places, tmp_path / "again", *flags, "--num_shards=2", f"--shard_index={index}") == 0
        assert (tmp_path / f"unpacked-0000{index}-of-00002").is_dir()
    assert merge(tmp_path / "again", 2) == 0
    assert (tmp_path / "again").read_bytes() == whole["csv"]


def error_of(status, capsys, name="inference.py"):
    out, err = capsys.readouterr()
    *notes, error = err.splitlines()
    assert status == 2 and out == "" and error.startswith(f"{name}: error: ")
    assert not any("rror" in note for note in notes)
    return error


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--shard_index=1"], "--shard_index needs --num_shards."),
        (["--num_shards=2"], "--num_shards needs --shard_index, to predict a part, or --merge_shards."),
        (["--num_shards=2", "--shard_index=2"], "--shard_index must be from 0 to 1 with --num_shards=2. Received: 2."),
        (["--num_shards=0", "--shard_index=0"], "num_shards"),
        (["--num_shards=2", "--shard_index=-1"], "shard_index"),
        (
            ["--num_shards=2", "--shard_index=0", "--output_file=", "--output_model_tgz=x"],
            "--num_shards needs --output_file.",
        ),
        (["--strategy=multi_worker"], "--strategy=multi_worker is for training. Inference shares out the files"),
        (["--merge_shards", "--num_shards=2"], "--train_dir does not go with --merge_shards"),
        (
            ["--num_shards=2", "--shard_index=0", "--segment_labels", "--train_dir={places}/frame_model"],
            "--segment_labels does not go with --num_shards: a class lists its best segments of all videos",
        ),
        (["--num_shards=2", "--shard_index=1", "--input_data_pattern={places}/frames*"], "has no feature 'mean_rgb'"),
    ],
)
def test_wrong_flags(flags, message, places, tmp_path, capsys):
    flags = [flag.format(places=places) for flag in flags]
    assert message in error_of(infer(places, tmp_path / "out", *flags), capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "--merge_shards needs --num_shards."),
        (["--num_shards=2"], "--merge_shards needs --output_file."),
        (["--num_shards=2", "--output_file={out}/x", "--shard_index=0"], "--shard_index does not go with"),
        (["--num_shards=2", "--output_file={out}/x"], "2 of the 2 parts of {out}/x are missing or unfinished"),
    ],
)
def test_wrong_flags_of_a_merge(flags, message, tmp_path, capsys):
    flags = [flag.format(out=tmp_path) for flag in flags]
    status = inference.main(["inference.py", "--merge_shards", *flags])
    assert message.format(out=tmp_path) in error_of(status, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "config, flags, message",
    [
        (cluster("evaluator", 0), [], "TF_CONFIG must make this process a chief or a worker"),
        (cluster("ps", 0), [], "Received: task {'type': 'ps', 'index': 0}."),
        (cluster("worker", 2), [], "TF_CONFIG names 2 worker(s), but this process's task is"),
        (cluster("chief", 0), [], "TF_CONFIG names 0 chief(s), but this process's task is"),
        (cluster("worker", "0"), [], "TF_CONFIG names 2 worker(s), but this process's task is"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', [], "Received: task None."),
        ("garbage", [], "TF_CONFIG is not a JSON object"),
        (
            cluster("worker", 0),
            ["--segment_labels", "--train_dir={places}/frame_model"],
            "--segment_labels does not go with the workers of TF_CONFIG",
        ),
    ],
)
def test_no_place_in_a_cluster(config, flags, message, places, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", config)
    flags = [flag.format(places=places) for flag in flags]
    assert message in error_of(infer(places, tmp_path / "out", *flags), capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [31, 30], ids=["the next", "of the same name"])
def test_a_checkpoint_that_came_between_two_shards(step, places, tmp_path, capsys):
    """As while the model is still training: each shard takes the latest."""
    shutil.copytree(places / "model", tmp_path / "model")
    output = tmp_path / "out.csv"
    flags = ["--num_shards=2", f"--train_dir={tmp_path}/model"]
    assert infer(places, output, *flags, "--shard_index=0") == 0
    save_model(tmp_path / "model", make_model(model_config(), seed=1), step=step)
    assert infer(places, output, *flags, "--shard_index=1") == 0
    error = error_of(merge(output, 2), capsys)
    assert f"{output}-00001-of-00002 is of another run than" in error
    assert f"its model is 'model.ckpt-{step}, fingerprint" in error and "not 'model.ckpt-30, fingerprint" in error
    assert not output.exists()


def test_records_that_came_between_two_shards(places, tmp_path, capsys):
    pattern = f"--input_data_pattern={places}/records*,{tmp_path}/more*"
    write_records(tmp_path / "more0", [])
    assert infer(places, tmp_path / "out", "--num_shards=2", "--shard_index=0", pattern) == 0
    write_videos(tmp_path, make_videos(MEANS, 1), MEANS, prefix="more1-")
    assert infer(places, tmp_path / "out", "--num_shards=2", "--shard_index=1", pattern) == 0
    error = error_of(merge(tmp_path / "out", 2), capsys)
    assert "its input_files is '7, fingerprint" in error and "not '6, fingerprint" in error
