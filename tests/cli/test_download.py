"""`download.py` against a server on this machine: files, exit statuses, what it says."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.file_server import FileServer
from yt8m_distill.cli import download

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTITION = "2/frame/train"
CONTENTS = {f"traina{letter}.tfrecord": np.random.default_rng(7).bytes(20_000) for letter in "abcd"}
LOCAL = [f"train000{number}.tfrecord" for number in range(4)]
BIG = np.random.default_rng(0).bytes(1 << 20)


@pytest.fixture
def server():
    with FileServer() as server:
        server.add_partition(PARTITION, CONTENTS)
        yield server


def flags(server, folder, *more):
    return [f"--partition={PARTITION}", f"--base_url={server.url}", f"--output_dir={folder}", "--num_retries=0", *more]


def run(server, folder, *more):
    return download.main(["download.py", *flags(server, folder, *more)])


def shards(folder):
    return sorted(path.name for path in folder.glob("*.tfrecord*"))


def test_downloads_once(server, tmp_path, capsys):
    assert run(server, tmp_path) == 0
    assert f"All 4 files in {tmp_path} are verified: 4 downloaded, 0 already there" in capsys.readouterr().err
    assert shards(tmp_path) == LOCAL
    assert (tmp_path / LOCAL[2]).read_bytes() == CONTENTS["trainac.tfrecord"]
    assert run(server, tmp_path, "--verify") == 0
    assert "0 downloaded, 4 already there; 0 bytes received" in capsys.readouterr().err
    assert len(server.requests(f"/{PARTITION}/trainaa.tfrecord")) == 1


def test_a_shard_of_it(server, tmp_path):
    assert run(server, tmp_path, "--shard=1,2") == 0
    first = set(shards(tmp_path))
    assert run(server, tmp_path / "other", "--shard=2,2") == 0
    second = set(shards(tmp_path / "other"))
    assert first | second == set(LOCAL) and not first & second


def test_list_fetches_nothing(server, tmp_path, capsys):
    assert run(server, tmp_path / "new", "--list") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split("\t")[:2] == [LOCAL[1], f"{server.url}/{PARTITION}/trainab.tfrecord"]
    assert "4 files to fetch; 0 are there" in err and not (tmp_path / "new").exists()
    assert run(server, tmp_path) == 0
    assert run(server, tmp_path, "--list") == 0
    out, err = capsys.readouterr()
    assert out == "" and "0 files to fetch; 4 are there" in err


def test_failures_are_one_line(server, tmp_path, capsys):
    server.add(f"/{PARTITION}/trainab.tfrecord", b"", "404")
    server.add(f"/{PARTITION}/trainad.tfrecord", CONTENTS["trainad.tfrecord"], "corrupt")
    assert run(server, tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "download.py: error: 2 of 4 files failed (2 downloaded, 0 already there); "
        f"{LOCAL[1]}: {server.url}/{PARTITION}/trainab.tfrecord: answers 404 (Not Found); "
        f"{LOCAL[3]}: {server.url}/{PARTITION}/trainad.tfrecord: the 20000 bytes that came do not have the plan's "
        "checksum. The same command tries again what is missing."
    )
    assert shards(tmp_path) == [LOCAL[0], LOCAL[2]]


def test_a_full_disk(server, tmp_path, capsys):
    assert run(server, tmp_path, "--keep_free_gb=1e9", "--num_parallel=1") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "stopped with 3 files not tried, because" in error and "Make room, or lower --keep_free_gb" in error
    assert error.count(f"{tmp_path}: no room for the 20.0 kB of trainaa.tfrecord: ") == 1
    assert not (tmp_path / LOCAL[0]).exists()


def test_verifies_while_the_server_is_down(server, tmp_path, capsys):
    assert run(server, tmp_path) == 0
    server.add("/2/download_plans/frame_train.json", b"", "503")
    assert run(server, tmp_path, "--verify") == 0
    assert f"Going by the plan kept in {tmp_path}" in capsys.readouterr().err
    (tmp_path / LOCAL[3]).unlink()
    assert run(server, tmp_path) == 2
    assert f"{LOCAL[3]}: is not there, and the server does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("--partition=", "--partition must not be empty"),
        ("--partition=2/frames/train", "A partition is <version>/<kind>/<split>"),
        ("--output_dir=", "--output_dir must not be empty"),
        ("--output_dir=/dev/null/x", "/dev/null/x"),
        ("--shard=0,3", "--shard is X,Y for part X of Y, 1 <= X <= Y. Received: '0,3'"),
        ("--shard=1", "--shard is X,Y"),
        ("--shard=a,b", "--shard must list whole numbers"),
        ("--mirror=moon", "mirror"),
        ("--num_parallel=0", "num_parallel"),
        ("--keep_free_gb=-1", "keep_free_gb"),
        ("--keep_free_gb=inf", "--keep_free_gb is in GB. Received: inf"),
        ("--keep_free_gb=nan", "--keep_free_gb is in GB. Received: nan"),
        ("--base_url=data", "A base URL is like http://host:8080/yt8m. Received: 'data'"),
        ("--partition=3/frame/train", "download_plans/frame_train.json: answers 404 (Not Found)"),
    ],
)
def test_says_what_is_wrong(wrong, message, server, tmp_path, capsys):
    assert run(server, tmp_path, wrong) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("download.py: error: ") and message in error[-1]
    assert not any("Traceback" in line for line in error)
    assert shards(tmp_path) == []


@pytest.fixture
def heeds_ctrl_c():
    """A process that runs in the background of a shell ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(number, server, tmp_path, capsys, heeds_ctrl_c):
    server.add(f"/{PARTITION}/trainaa.tfrecord", CONTENTS["trainaa.tfrecord"], "half", "ok")
    part = tmp_path / f"{LOCAL[0]}.part"
    before = signal.getsignal(signal.SIGTERM)
    killer = threading.Thread(target=lambda: wait_for_half(part, 10_000) or os.kill(os.getpid(), number))
    killer.start()
    assert run(server, tmp_path) == 130
    killer.join()
    assert "Interrupted. The same command goes on where this one stopped." in capsys.readouterr().err
    assert part.stat().st_size == 10_000 and signal.getsignal(signal.SIGTERM) == before
    assert run(server, tmp_path) == 0
    assert server.requests(f"/{PARTITION}/trainaa.tfrecord")[1] == (10_000, 10_000)


def test_kill_9_costs_nothing_that_had_arrived(server, tmp_path, capsys):
    contents = {**CONTENTS, "trainaa.tfrecord": BIG}
    server.add_partition(PARTITION, contents, {"trainaa.tfrecord": ("half", "ok")})
    command = [sys.executable, "download.py", *flags(server, tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        wait_for_half(tmp_path / f"{LOCAL[0]}.part", len(BIG) // 2)
        while not all((tmp_path / name).exists() for name in LOCAL[1:]):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert run(server, tmp_path) == 0
    assert (tmp_path / LOCAL[0]).read_bytes() == BIG and shards(tmp_path) == LOCAL
    half = len(BIG) // 2
    assert server.requests(f"/{PARTITION}/trainaa.tfrecord") == [(0, half), (half, half)]
    assert sum(server.bytes_sent(f"/{PARTITION}/{name}") for name in contents) == len(BIG) + 3 * 20_000
    assert "1 downloaded, 3 already there; 524.3 kB received" in capsys.readouterr().err


def wait_for_half(path, size):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size == size):
        time.sleep(0.01)
