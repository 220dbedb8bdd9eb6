"""Atomic files and directories: nothing under the final name unless the body succeeded."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from tests.full_disk import files_limited_to
from yt8m_distill.data.atomic_file import atomic_directory, atomic_path, open_atomic


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path):
    """One folder, as a local path and through `tf.io.gfile`, which takes any scheme."""
    return str(tmp_path) if request.param == "local" else f"file://{tmp_path}"


# ------------------------------------------------------------------------------------------------- files


def test_text_is_utf8_with_unix_line_ends(folder, tmp_path):
    with open_atomic(f"{folder}/a.csv") as file:
        file.write("é\n")
        file.write("b\n")
    assert (tmp_path / "a.csv").read_bytes() == b"\xc3\xa9\nb\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_bytes_larger_than_the_buffer(folder, tmp_path):
    content = os.urandom(1_000_000)
    with open_atomic(f"{folder}/a.bin", "wb") as file:
        for start in range(0, len(content), 300_001):
            file.write(content[start : start + 300_001])
    assert (tmp_path / "a.bin").read_bytes() == content


def test_file_is_invisible_until_the_end(folder, tmp_path):
    with open_atomic(f"{folder}/a.csv") as file:
        file.write("x" * 1_000_000)
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").stat().st_size == 1_000_000


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_failure_keeps_the_earlier_file_and_leaves_no_other(folder, tmp_path, exception):
    (tmp_path / "a.csv").write_text("old\n")
    with pytest.raises(exception), open_atomic(f"{folder}/a.csv") as file:
        file.write("new\n" * 100_000)
        raise exception
    assert (tmp_path / "a.csv").read_text() == "old\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def command(program, path):
    """A Python process that runs `program` with the module loaded from its file, without the package."""
    load = (
        "import sys, importlib.util\n"
        "spec = importlib.util.spec_from_file_location('atomic_file', sys.argv[1])\n"
        "atomic_file = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(atomic_file)\n"
    )
    return [sys.executable, "-c", load + program, sys.modules[open_atomic.__module__].__file__, str(path)]


def test_ctrl_c_in_another_process(tmp_path):
    (tmp_path / "a.csv").write_text("old\n")
    program = (
        "import signal, time\n"
        # A shell that runs the tests in the background makes its children deaf to Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with atomic_file.open_atomic(sys.argv[2]) as file:\n"
        "    file.write('new' * 1000000)\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        command(program, tmp_path / "a.csv"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
    assert (tmp_path / "a.csv").read_text() == "old\n"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_success_replaces_the_earlier_file(folder, tmp_path):
    (tmp_path / "a.csv").write_text("old\n")
    with open_atomic(f"{folder}/a.csv") as file:
        file.write("new\n")
    assert (tmp_path / "a.csv").read_text() == "new\n"


def test_missing_parent_directories_are_created(folder, tmp_path):
    with open_atomic(f"{folder}/b/c/a.csv") as file:
        file.write("x")
    assert (tmp_path / "b/c/a.csv").read_text() == "x"


def test_relative_and_pathlike_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_atomic("a.csv") as file:
        file.write("1")
    with open_atomic(tmp_path / "b.csv") as file:
        file.write("2")
    assert (tmp_path / "a.csv").read_text() + (tmp_path / "b.csv").read_text() == "12"


def test_symbolic_link_is_followed_and_permissions_are_kept(tmp_path):
    target = tmp_path / "real" / "a.csv"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link.csv").symlink_to(target)
    with open_atomic(tmp_path / "link.csv") as file:
        file.write("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_has_ordinary_permissions(tmp_path):
    with open_atomic(tmp_path / "a.csv"), open(tmp_path / "ordinary", "w"):
        pass
    assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_names_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("n" * 255)
    with open_atomic(path) as file:
        file.write("x")
    assert path.read_text() == "x"


def test_a_file_system_without_local_paths():
    import tensorflow as tf

    for text in ("old", "new"):
        with open_atomic("ram://bucket/b/a.csv") as file:
            file.write(text)
    with pytest.raises(RuntimeError), open_atomic("ram://bucket/b/a.csv") as file:
        file.write("newer")
        raise RuntimeError
    assert tf.io.gfile.GFile("ram://bucket/b/a.csv").read() == "new"
    assert tf.io.gfile.listdir("ram://bucket/b") == ["a.csv"]


def test_no_parent_in_a_remote_path(tmp_path, monkeypatch):
    import tensorflow as tf

    monkeypatch.chdir(tmp_path)
    with open_atomic("ram://lonely.csv") as file:
        file.write("x")
    assert tf.io.gfile.GFile("ram://lonely.csv").read() == "x"
    assert os.listdir(tmp_path) == []  # in particular no local folder "ram:"


def test_local_files_do_not_import_tensorflow(tmp_path):
    program = (
        "with atomic_file.open_atomic(sys.argv[2]) as file:\n"
        "    file.write('x')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run(command(program, tmp_path / "a.csv"), check=True)
    assert (tmp_path / "a.csv").read_text() == "x"


# ------------------------------------------------------------------------------------------- file errors


def test_unknown_mode(tmp_path):
    with pytest.raises(ValueError, match=r"`mode` must be .* Received: 'a'"), open_atomic(tmp_path / "a", "a"):
        pass


def write(path, text="x"):
    with open_atomic(path) as file:
        file.write(text)


def test_directory_under_the_name(folder, tmp_path):
    (tmp_path / "a").mkdir()
    for path in (f"{folder}/a", f"{folder}/a/", f"{folder}/new/"):
        with pytest.raises(IsADirectoryError, match=rf"it is a directory; give a file name: '{path}'"):
            write(path)


def test_file_in_the_place_of_a_parent(tmp_path):
    (tmp_path / "a").write_text("x")
    path = tmp_path / "a" / "b.csv"
    message = f"cannot write: {tmp_path}/a is not a directory: '{path}'"
    with pytest.raises(NotADirectoryError, match=message):
        write(path)


def test_file_in_the_place_of_a_remote_parent(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError, match=r"cannot write: .*a/b.csv"):
        write(f"file://{tmp_path}/a/b.csv")


def test_devices_and_pipes_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", str(tmp_path / "pipe")):
        with pytest.raises(OSError, match=f"a device or pipe cannot be replaced; give a file name: '{path}'"):
            write(path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_unknown_scheme():
    with pytest.raises(OSError, match=r"cannot write: .*'nosuchscheme'.*'nosuchscheme://a/b.csv'"):
        write("nosuchscheme://a/b.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "a.csv").chmod(0o444)
    with pytest.raises(PermissionError, match=r"the file is read-only: '.*a.csv'"):
        write(tmp_path / "a.csv")
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError, match=r"cannot write: Permission denied: '.*b.csv'"):
        write(tmp_path / "b.csv")
    with pytest.raises(PermissionError, match=r"cannot write: .*file://.*b.csv"):
        write(f"file://{tmp_path}/b.csv")
    tmp_path.chmod(0o755)
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.fixture
def small_disk():
    with files_limited_to(1_000_000):
        yield


def test_full_disk(tmp_path, small_disk):
    (tmp_path / "a.csv").write_text("old")
    for size in (1_100_000, 5_000_000):  # at the last flush; in the body
        with pytest.raises(OSError, match=r"cannot write: File too large: '.*/a.csv'"):
            write(tmp_path / "a.csv", "x" * size)
    assert (tmp_path / "a.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_full_disk_behind_tensorflow(tmp_path, small_disk):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(OSError, match=rf"cannot write: .*'file://{tmp_path}/a.csv'"):
        write(f"file://{tmp_path}/a.csv", "x" * 5_000_000)
    assert (tmp_path / "a.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_full_disk_at_fsync(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"cannot write: No space left on device: '.*/a.csv'") as caught:
        write(tmp_path / "a.csv")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_errors_of_the_body_pass_unchanged(folder):
    error = OSError(errno.EIO, "reading failed", "/data/train.tfrecord")
    with pytest.raises(OSError) as caught, open_atomic(f"{folder}/a.csv"):
        raise error
    assert caught.value is error


# ------------------------------------------------------------------------------------------- directories


def write_by_name(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_a_path_for_writers_by_name(tmp_path, exception):
    path = tmp_path / "new" / "file"
    with atomic_path(path) as partial:
        write_by_name(partial, "one")
        assert not path.exists()
    with pytest.raises(exception), atomic_path(path) as partial:
        write_by_name(partial, "two")
        raise exception
    with pytest.raises(exception), atomic_path(path):
        raise exception  # before the file was made
    assert path.read_text() == "one" and [entry.name for entry in path.parent.iterdir()] == ["file"]


def fill(directory, name, text):
    with open_atomic(f"{directory}/{name}") as file:
        file.write(text)


@pytest.mark.parametrize("slash", ["", "/"])
def test_directory_appears_at_the_end(folder, tmp_path, slash):
    with atomic_directory(f"{folder}/b/model{slash}") as directory:
        fill(directory, "variables/x", "1")
        assert not (tmp_path / "b/model").exists()
    assert (tmp_path / "b/model/variables/x").read_text() == "1"
    assert os.listdir(tmp_path / "b") == ["model"]


def test_empty_directory_is_taken(folder, tmp_path):
    (tmp_path / "model").mkdir()
    with atomic_directory(f"{folder}/model") as directory:
        fill(directory, "x", "1")
    assert (tmp_path / "model/x").read_text() == "1"


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_failed_directory_leaves_nothing(folder, tmp_path, exception):
    with pytest.raises(exception), atomic_directory(f"{folder}/model") as directory:
        fill(directory, "variables/x", "1")
        raise exception
    assert os.listdir(tmp_path) == []


def test_occupied_directory_is_refused_before_the_body(folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/x").write_text("old")
    message = f"holds 'x'; remove it or choose another directory: '{folder}/model'"
    with pytest.raises(FileExistsError, match=message), atomic_directory(f"{folder}/model"):
        pytest.fail("the body ran")
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError, match=r"it is a file; .*/file'"), atomic_directory(f"{folder}/file"):
        pytest.fail("the body ran")
    assert (tmp_path / "model/x").read_text() == "old"


def test_directory_occupied_while_the_body_runs(folder, tmp_path):
    with pytest.raises(FileExistsError, match=r"holds 'x'"), atomic_directory(f"{folder}/model") as directory:
        fill(directory, "y", "mine")
        (tmp_path / "model").mkdir()
        (tmp_path / "model/x").write_text("somebody else's")
    assert os.listdir(tmp_path) == ["model"]
    assert os.listdir(tmp_path / "model") == ["x"]


def test_replaceable_files_are_replaced_and_only_at_the_end(folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/old.index").write_text("old")
    may_replace = {"old.index"}.__contains__
    with pytest.raises(RuntimeError), atomic_directory(f"{folder}/model", may_replace):
        raise RuntimeError
    assert (tmp_path / "model/old.index").read_text() == "old"
    with atomic_directory(f"{folder}/model", may_replace) as directory:
        fill(directory, "new.index", "new")
    assert os.listdir(tmp_path / "model") == ["new.index"]


def test_a_directory_with_a_replaceable_name_is_not_replaced(folder, tmp_path):
    (tmp_path / "model/sub").mkdir(parents=True)
    path = f"{folder}/model"
    with pytest.raises(FileExistsError, match="holds 'sub"), atomic_directory(path, lambda name: True):
        pytest.fail("the body ran")


def test_directory_that_cannot_be_written():
    path = "/proc/no/model"
    with pytest.raises(OSError, match=f"cannot write: No such file.*'{path}'"), atomic_directory(path):
        pytest.fail("the body ran")
