"""The downloader against a server on this machine, which serves every fault that servers have."""

import contextlib
import errno
import hashlib
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from tests.file_server import FileServer
from yt8m_distill.data.directory_lock import lock_directory
from yt8m_distill.data.download import downloader
from yt8m_distill.data.download import file as download_file
from yt8m_distill.data.download import state as download_state
from yt8m_distill.data.download.downloader import download_files
from yt8m_distill.data.download.http import HttpClient, HttpOptions
from yt8m_distill.data.download.plan import MAX_PLAN_BYTES, PlannedFile
from yt8m_distill.data.download.report import ALREADY_THERE, DOWNLOADED, FAILED
from yt8m_distill.data.download.source import Source, fetch_plan, keep_plan

CONTENT = np.random.default_rng(0).bytes(50_000)
HALF = len(CONTENT) // 2
QUICK = HttpOptions(timeout=0.2, num_retries=2, backoff=0.005, max_backoff=0.02)
PATH = "/trainaa.tfrecord"
LOCAL = "train0000.tfrecord"


@pytest.fixture
def server():
    with FileServer() as server:
        yield server


def planned(name, content):
    return PlannedFile(name, hashlib.md5(content).hexdigest())


def download(server, folder, names=("trainaa",), content=CONTENT, options=QUICK, **arguments):
    files = [planned(f"{name}.tfrecord", content) for name in names]
    return download_files(files, lambda name: f"{server.url}/{name}", str(folder), options=options, **arguments)


def single_result(server, folder, **arguments):
    return download(server, folder, **arguments).results[0]


# What a server does at its 1st, 2nd, ... request of a file -> what the user reads; None if the file arrives.
FAULTS = [
    (("ok",), None),
    (("truncate", "ok"), None),
    (("truncate", "no_range"), None),
    (("truncate", "wrong_range", "ok"), None),
    (("truncate", "wrong_bytes", "ok"), None),
    (("truncate", "416", "ok"), None),
    (("truncate",) * 2 + ("no_length",), None),
    (("stall", "ok"), None),
    (("half", "ok"), None),
    (("hang_up", "ok"), None),
    (("corrupt", "ok"), None),
    (("500", "503", "ok"), None),
    (("retry_after_503_0", "retry_after_429_1", "ok"), None),
    (("redirect:/elsewhere",), None),
    (("no_length",), None),
    (("long_length",), None),
    (("short_length", "ok"), None),
    (("404",), "{url}: answers 404 (Not Found)"),
    (("403",), "{url}: answers 403 (Forbidden)"),
    (("416",), "{url}: answers 416 ("),
    (("500",), "{url}: answers 500 (Internal Server Error) (tried 3 times)"),
    (("503",), "{url}: answers 503 (Service Unavailable) (tried 3 times)"),
    (("retry_after_429_9",), "{url}: answers 429 (Too Many Requests) (tried 3 times)"),
    (("599",), "{url}: answers 599 (an unknown status) (tried 3 times)"),
    (("hang_up",), "{url}: the connection broke (RemoteDisconnected) (tried 3 times)"),
    (("silence",), "{url}: nothing came for 0.2 s (tried 3 times)"),
    (("stall",), "{url}: nothing came for 0.2 s (tried 3 times)"),
    (("trickle",), "{url}: next to nothing came for 0.2"),
    (("truncate", "truncate", "half"), "{url}: nothing came for 0.2 s (tried 3 times)"),
    (("truncate",), "{url}: the connection ended after 6250 of the 12500 bytes it promised (tried 3 times)"),
    (("corrupt",), "{url}: the 50000 bytes that came do not have the plan's checksum (tried 3 times)"),
    (("short_length",), "{url}: the 49990 bytes that came do not have the plan's checksum (tried 3 times)"),
    (("huge_length",), "no room for the 100000.0 TB of trainaa.tfrecord: "),
    (("redirect:/trainaa.tfrecord",), "{url}: answers 302, a redirection in a circle or to what is not http(s)"),
    (("redirect:file:///etc/passwd",), "{url}: answers 302, a redirection in a circle or to what is not http(s)"),
    (("redirect:ftp://localhost/x",), "{url}: unknown url type: ftp"),
    (("redirect:http://[x/",), "{url}: leads to what is no URL ("),
]


@pytest.mark.parametrize("modes, message", FAULTS, ids=lambda value: "-".join(value) if type(value) is tuple else "")
def test_fault_table(modes, message, server, tmp_path):
    server.add(PATH, CONTENT, *modes)
    server.add("/elsewhere", CONTENT)
    result = single_result(server, tmp_path)
    if message is None:
        assert (result.status, result.reason) == (DOWNLOADED, "")
        assert (tmp_path / LOCAL).read_bytes() == CONTENT
        assert not (tmp_path / f"{LOCAL}.part").exists()
    else:
        assert result.status == FAILED
        assert message.format(url=server.url + PATH) in result.reason and "\n" not in result.reason
        part = tmp_path / f"{LOCAL}.part"
        assert not (tmp_path / LOCAL).exists()
        assert not part.exists() or CONTENT.startswith(part.read_bytes() or b"an empty one is none")


def test_a_page_about_something_else_costs_nothing_of_what_is_here(server, tmp_path):
    server.add(PATH, b"<html>Please log in</html>", "no_range")
    (tmp_path / f"{LOCAL}.part").write_bytes(CONTENT[:HALF])
    result = single_result(server, tmp_path)
    assert result.status == FAILED
    assert f"the server answers with 26 bytes, and {HALF} of the file are here already" in result.reason
    assert (tmp_path / f"{LOCAL}.part").read_bytes() == CONTENT[:HALF]


def test_a_server_that_is_not_there(tmp_path):
    with FileServer() as server:
        pass
    result = single_result(server, tmp_path)
    assert result.reason == f"{server.url}{PATH}: Connection refused (tried 3 times)"


def test_an_unknown_host(tmp_path):
    file = planned("trainaa.tfrecord", CONTENT)
    report = download_files([file], lambda name: f"http://host.invalid/{name}", str(tmp_path), options=QUICK)
    assert "http://host.invalid/trainaa.tfrecord: the server's name is not known" in report.results[0].reason


@pytest.mark.parametrize("mode, begins_at", [("ok", HALF), ("no_range", HALF)])
def test_goes_on_from_what_is_there(mode, begins_at, server, tmp_path):
    server.add(PATH, CONTENT, mode)
    (tmp_path / f"{LOCAL}.part").write_bytes(CONTENT[:HALF])
    report = download(server, tmp_path)
    assert (tmp_path / LOCAL).read_bytes() == CONTENT
    expected = len(CONTENT) - HALF if mode == "ok" else len(CONTENT)
    assert server.requests(PATH) == [(begins_at, expected)] and report.bytes_received == expected


@pytest.mark.parametrize("mode", ["ok", "no_range"])
@pytest.mark.parametrize("part", [b"something else", CONTENT + b"and more", bytes(len(CONTENT))])
def test_a_wrong_beginning_is_started_over(part, mode, server, tmp_path):
    server.add(PATH, CONTENT, mode)
    (tmp_path / f"{LOCAL}.part").write_bytes(part)
    options = HttpOptions(timeout=0.2, num_retries=0)  # it is no failure of the server
    assert single_result(server, tmp_path, options=options).status == DOWNLOADED
    assert (tmp_path / LOCAL).read_bytes() == CONTENT
    assert server.requests(PATH)[-1][1] == len(CONTENT)


def test_a_complete_part_needs_only_its_name(server, tmp_path):
    server.add(PATH, CONTENT)
    (tmp_path / f"{LOCAL}.part").write_bytes(CONTENT)
    assert single_result(server, tmp_path).status == DOWNLOADED
    assert (tmp_path / LOCAL).read_bytes() == CONTENT and server.requests(PATH) == []


def test_what_came_is_kept_for_the_next_download(server, tmp_path):
    server.add(PATH, CONTENT, "truncate", "404", "ok")
    assert "answers 404" in single_result(server, tmp_path).reason
    assert (tmp_path / f"{LOCAL}.part").read_bytes() == CONTENT[:HALF]
    assert single_result(server, tmp_path).status == DOWNLOADED
    assert server.requests(PATH)[-1] == (HALF, len(CONTENT) - HALF)


def test_tries_that_get_far_are_no_failures(server, tmp_path):
    content = bytes(10 << 20)  # halved by each try: 5, 2.5, 1.25 MB are worth it, .63 and .31 are not
    server.add(PATH, content, "truncate")
    result = single_result(server, tmp_path, content=content)
    assert result.status == FAILED and "(tried 5 times)" in result.reason


def test_waits_longer_after_each_failure(monkeypatch):
    waited = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "wait", waited.append)
    options = HttpOptions(backoff=1, max_backoff=20)
    for failures, retry_after in [(1, 0), (2, 0), (3, 0), (99, 0), (1, 7), (1, 3600)]:
        options.wait(failures, retry_after, stop)
    assert 0.5 <= waited[0] <= 1.5 and 1 <= waited[1] <= 3 and 2 <= waited[2] <= 6 and waited[3:] == [20, 7, 20]


def test_verified_files_are_not_read_again(server, tmp_path, monkeypatch):
    server.add(PATH, CONTENT)
    download(server, tmp_path)
    read = []
    hash_stream = download_state.hash_stream
    monkeypatch.setattr(download_state, "hash_stream", lambda *args: read.append(1) or hash_stream(*args))
    assert single_result(server, tmp_path).status == ALREADY_THERE and read == []
    assert single_result(server, tmp_path, verify_all=True).status == ALREADY_THERE and read == [1]
    os.utime(tmp_path / LOCAL, ns=(0, 0))
    assert single_result(server, tmp_path).status == ALREADY_THERE and read == [1, 1]
    (tmp_path / "download_state.json").write_text("[" * 100_000)
    assert single_result(server, tmp_path).status == ALREADY_THERE and read == [1, 1, 1]
    assert len(server.requests(PATH)) == 1


def test_a_changed_file_is_replaced_when_the_right_one_is_there(server, tmp_path, caplog):
    server.add(PATH, CONTENT, "404", "ok")
    (tmp_path / LOCAL).write_bytes(CONTENT[:100])  # as the dataset's own script leaves it when it is interrupted
    assert single_result(server, tmp_path).status == FAILED
    assert (tmp_path / LOCAL).read_bytes() == CONTENT[:100]
    assert f"{tmp_path}/{LOCAL}: has not the checksum" in caplog.text
    assert single_result(server, tmp_path).status == DOWNLOADED
    assert (tmp_path / LOCAL).read_bytes() == CONTENT


def test_damage_that_keeps_the_time_is_found_by_verify(server, tmp_path):
    server.add(PATH, CONTENT)
    download(server, tmp_path)
    found = os.stat(tmp_path / LOCAL)
    (tmp_path / LOCAL).write_bytes(bytes(len(CONTENT)))
    os.utime(tmp_path / LOCAL, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert single_result(server, tmp_path).status == ALREADY_THERE
    assert single_result(server, tmp_path, verify_all=True).status == DOWNLOADED
    assert (tmp_path / LOCAL).read_bytes() == CONTENT


def test_without_downloading(server, tmp_path):
    for name in "ab":
        server.add(f"/traina{name}.tfrecord", CONTENT)
    download(server, tmp_path)
    report = download(server, tmp_path, names=("trainaa", "trainab"), may_download=False)
    assert [result.status for result in report.results] == [ALREADY_THERE, FAILED]
    assert report.results[1].reason.endswith("train0001.tfrecord: is not there, and the server does not answer")


def test_many_failures_end_it(server, tmp_path):
    names = [f"traina{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    report = download(server, tmp_path, names=names, num_parallel=2)
    assert report.stopped == "20 files in a row failed" and not report.is_complete
    assert 20 <= len(report.failures) <= 21


def test_a_full_disk_ends_it(server, tmp_path):
    names = [f"traina{letter}" for letter in "abcd"]
    for name in names:
        server.add(f"/{name}.tfrecord", CONTENT)
    free = shutil.disk_usage(tmp_path).free
    report = download(server, tmp_path, names=names, num_parallel=1, keep_free=free + 10**12)
    assert len(report.results) == 1 and not os.path.exists(tmp_path / LOCAL)
    assert f"{tmp_path}: no room for the 50.0 kB of trainaa.tfrecord: " in report.stopped


def test_a_file_of_unknown_size_must_fit_too(server, tmp_path):
    server.add(PATH, CONTENT, "no_length")
    keep_free = shutil.disk_usage(tmp_path).free - (1 << 25)
    assert (
        f"{tmp_path}: no room for the 67.1 MB of trainaa.tfrecord"
        in download(server, tmp_path, keep_free=keep_free).stopped
    )


def test_a_disk_that_is_full_earlier_than_it_said(server, tmp_path, monkeypatch):
    names = ["trainaa", "trainab"]
    for name in names:
        server.add(f"/{name}.tfrecord", CONTENT)

    def write_until_full(part, data):
        part._file.write(data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download_file._PartialFile, "append", write_until_full)
    report = download(server, tmp_path, names, num_parallel=1)
    assert [result.reason for result in report.results] == [f"{tmp_path}/{LOCAL}.part: No space left on device"]
    assert report.stopped == f"{tmp_path}/{LOCAL}.part: No space left on device. What has arrived is kept"
    assert (tmp_path / f"{LOCAL}.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("name", [LOCAL, f"{LOCAL}.part"])
def test_a_device_in_the_way(name, server, tmp_path):
    server.add(PATH, CONTENT)
    os.symlink("/dev/zero", tmp_path / name)
    assert single_result(server, tmp_path).reason == f"{tmp_path}/{name}: is not a file"


@contextlib.contextmanager
def at_most(seconds):
    """Ends what waits for ever."""

    def give_up(*_):
        raise AssertionError("waits for ever")

    earlier = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


@pytest.mark.parametrize("name", [LOCAL, f"{LOCAL}.part"])
def test_a_pipe_in_the_way(name, server, tmp_path):
    server.add(PATH, CONTENT)
    os.mkfifo(tmp_path / name)
    with at_most(10):
        result = single_result(server, tmp_path)
    assert result.status == FAILED and result.reason.startswith(f"{tmp_path}/{name}: ")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_state_that_is_no_file_costs_time_only(make, server, tmp_path, caplog):
    server.add(PATH, CONTENT)
    make(tmp_path / "download_state.json")
    with at_most(10):
        statuses = [single_result(server, tmp_path).status for _ in range(2)]
    assert statuses == [DOWNLOADED, ALREADY_THERE]
    assert f"{tmp_path}/download_state.json cannot be read: the files beside it are verified once more" in caplog.text


def test_a_plan_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "download_plan.json")
    with at_most(10), pytest.raises(OSError, match=rf"is not a file: '{tmp_path}/download_plan\.json'"):
        keep_plan(Source("2/frame/train"), [planned("trainaa.tfrecord", b"1")], str(tmp_path))


def test_a_folder_in_the_way(server, tmp_path):
    server.add(PATH, CONTENT)
    (tmp_path / LOCAL).mkdir()
    assert single_result(server, tmp_path).reason == f"{tmp_path}/{LOCAL}: Is a directory"


def test_a_second_download_to_the_same_place(server, tmp_path):
    held = lock_directory(str(tmp_path), downloader.LOCK, "")
    with held, pytest.raises(ValueError, match=f"Another download to {tmp_path} is running"):
        download(server, tmp_path)


def test_interruption_does_not_wait_for_a_silent_server(server, tmp_path):
    server.add(PATH, CONTENT, "half")

    def interrupt(progress):
        if progress.bytes_there == HALF:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(server, tmp_path, options=HttpOptions(timeout=20), on_progress=interrupt)
    assert time.monotonic() - began < 2
    assert (tmp_path / f"{LOCAL}.part").read_bytes() == CONTENT[:HALF] and not (tmp_path / LOCAL).exists()


def test_an_error_of_the_program_is_not_hidden(server, tmp_path):
    def fail(name):
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        download_files([planned("trainaa.tfrecord", CONTENT)], fail, str(tmp_path), options=QUICK)


def test_progress(server, tmp_path):
    names = [f"traina{letter}" for letter in "abc"]
    for name in names:
        server.add(f"/{name}.tfrecord", CONTENT)
    seen = []
    report = download(server, tmp_path, names=names, num_parallel=2, on_progress=seen.append)
    assert report.is_complete and report.count(DOWNLOADED) == 3
    last = seen[-1]
    assert (last.num_files, last.files_done) == (3, 3)
    assert last.bytes_there == last.bytes_received == last.bytes_expected == 3 * len(CONTENT)


PLANS = [
    (b"<html>", "is not the JSON of a download plan"),
    (b"\xff\xfe\xff", "is not the JSON of a download plan"),
    (b"[" * 100_000, "is not the JSON of a download plan"),
    (b'{"files": {}}', 'a download plan has an entry "files"'),
    (b'["trainaa.tfrecord"]', 'a download plan has an entry "files"'),
    (b" " * (MAX_PLAN_BYTES + 1), "which is too large for a download plan"),
]


@pytest.mark.parametrize("text, message", PLANS, ids=[message for _, message in PLANS])
def test_a_plan_that_is_none(text, message, server, tmp_path):
    server.add("/2/download_plans/frame_train.json", text)
    with pytest.raises(ValueError, match="frame_train") as error:
        fetch_plan(Source("2/frame/train", base_url=server.url), HttpClient(QUICK), str(tmp_path))
    assert message in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_kept_plan_serves_when_the_server_is_down(server, tmp_path, caplog):
    source = Source("2/frame/train", base_url=server.url)
    server.add_partition(source.partition, {"trainaa.tfrecord": CONTENT})
    files, is_online = fetch_plan(source, HttpClient(QUICK), str(tmp_path))
    assert files == [planned("trainaa.tfrecord", CONTENT)] and is_online
    keep_plan(source, files, str(tmp_path))
    server.add("/2/download_plans/frame_train.json", b"", "503")
    assert fetch_plan(source, HttpClient(QUICK), str(tmp_path)) == (files, False)
    assert "answers 503" in caplog.text and f"the plan kept in {tmp_path}" in caplog.text
    with pytest.raises(OSError, match="answers 503"):
        fetch_plan(source, HttpClient(QUICK), str(tmp_path / "elsewhere"))
    server.add("/2/download_plans/frame_train.json", b"", "404")
    with pytest.raises(OSError, match="answers 404"):
        fetch_plan(source, HttpClient(QUICK), str(tmp_path))


def test_partitions_in_one_directory(tmp_path):
    train, validate = [planned("trainaa.tfrecord", b"1")], [planned("validateaa.tfrecord", b"2")]
    keep_plan(Source("2/frame/train"), train, str(tmp_path))
    keep_plan(Source("2/frame/validate"), validate, str(tmp_path))
    keep_plan(Source("2/frame/train"), train, str(tmp_path))
    with pytest.raises(ValueError, match="holds partition 2/frame/validate, whose files have the names of those of 3"):
        keep_plan(Source("3/frame/validate"), [planned("validateaa.tfrecord", b"3")], str(tmp_path))
    (tmp_path / "download_plan.json").write_text('{"partitions": {"2/frame/train": {"files": {"../a": "x"}}}}')
    with pytest.raises(ValueError, match=r"download_plan\.json: is damaged; delete it"):
        keep_plan(Source("2/frame/train"), train, str(tmp_path))
