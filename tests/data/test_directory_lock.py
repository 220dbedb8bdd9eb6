import os
import signal
import subprocess
import sys

import pytest

from tests.full_disk import files_limited_to
from yt8m_distill.data.directory_lock import lock_directory

HOLD = (
    "import sys, time\n"
    "from yt8m_distill.data.directory_lock import lock_directory\n"
    "with lock_directory(sys.argv[1], '.lock', 'busy'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the directory."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_and_told_by_whom(tmp_path, holder):
    refused = pytest.raises(ValueError, match=rf"Busy here \(process {holder.pid} on .*\)\.$")
    with refused, lock_directory(str(tmp_path), ".lock", "Busy here"):
        raise AssertionError("not kept out")


def test_a_killed_process_holds_nothing(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with lock_directory(str(tmp_path), ".lock", "busy"):
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")


def test_one_after_the_other(tmp_path):
    for _ in range(2):
        with lock_directory(str(tmp_path), ".lock", "busy"):
            pass


def test_other_directories_and_other_names_are_free(tmp_path, holder):
    (tmp_path / "other").mkdir()
    with lock_directory(str(tmp_path / "other"), ".lock", "busy"), lock_directory(str(tmp_path), ".other", "busy"):
        pass


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    refused = pytest.raises(OSError, match=rf"File too large: '{tmp_path}/\.lock'$")
    with files_limited_to(0), refused, lock_directory(str(tmp_path), ".lock", "busy"):
        raise AssertionError("not written")
    with lock_directory(str(tmp_path), ".lock", "busy"):
        pass


def test_a_remote_directory_is_not_kept():
    with lock_directory("gs://bucket/run", ".lock", "busy"):
        pass
