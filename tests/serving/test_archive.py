"""Model archives: the round trip, and archives that somebody else made."""

import contextlib
import gzip
import io
import os
import tarfile

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yt8m_distill.serving.archive import ArchiveError, pack_model, unpack_model

FLAGS = b'{"model": "LogisticModel"}\n'
INDEX, DATA = "inference_model.index", "inference_model.data-00000-of-00001"
MODEL = [("model_flags.json", FLAGS), (INDEX, b"index"), (DATA, b"weights" * 1000)]


def save_checkpoint(train_dir, step, value):
    (train_dir / "model_flags.json").write_bytes(FLAGS)
    checkpoint = tf.train.Checkpoint(kernel=tf.Variable([value, 2.0]), step=tf.Variable(step))
    return checkpoint.write(str(train_dir / f"model.ckpt-{step}"))


def restore(model_dir):
    checkpoint = tf.train.Checkpoint(kernel=tf.Variable([0.0, 0.0]), step=tf.Variable(0))
    path = tf.train.latest_checkpoint(str(model_dir))
    assert path == os.path.join(str(model_dir), "inference_model")
    checkpoint.read(path).assert_consumed()
    return checkpoint.kernel.numpy().tolist(), int(checkpoint.step)


def regular(name, content, **attributes):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, content


def write_archive(path, members, form=tarfile.GNU_FORMAT):
    """Writes `members`: pairs of a name or TarInfo and its content."""
    with tarfile.open(path, "w:gz", format=form) as archive:
        for member, content in members:
            if isinstance(member, str):
                member, content = regular(member, content)
            archive.addfile(member, io.BytesIO(content))
    return path


# ------------------------------------------------------------------------------------------------ round trip


def test_round_trip_restores_the_weights(tmp_path):
    save_checkpoint(tmp_path, 7, 1.0)
    prefix = save_checkpoint(tmp_path, 1200, 3.5)
    pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "model.tgz")
    unpack_model(tmp_path / "model.tgz", tmp_path / "unpacked")
    assert sorted(os.listdir(tmp_path / "unpacked")) == ["checkpoint", DATA, INDEX, "model_flags.json"]
    assert (tmp_path / "unpacked/model_flags.json").read_bytes() == FLAGS
    assert restore(tmp_path / "unpacked") == ([3.5, 2.0], 1200)


def test_layout_of_the_archive(tmp_path):
    prefix = save_checkpoint(tmp_path, 5, 1.0)
    pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "model.tgz")
    with tarfile.open(tmp_path / "model.tgz", "r:gz") as archive:
        members = archive.getmembers()
        state = archive.extractfile("checkpoint").read()
    assert [member.name for member in members] == ["checkpoint", DATA, INDEX, "model_flags.json"]
    assert state == b'model_checkpoint_path: "inference_model"\n'
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members} == {
        (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
    }


def test_what_ordinary_tar_extracts_is_a_checkpoint_directory(tmp_path):
    prefix = save_checkpoint(tmp_path, 5, 1.0)
    pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "model.tgz")
    (tmp_path / "by_hand").mkdir()
    with tarfile.open(tmp_path / "model.tgz", "r:gz") as archive:
        for member in archive:
            (tmp_path / "by_hand" / member.name).write_bytes(archive.extractfile(member).read())
    assert restore(tmp_path / "by_hand") == ([1.0, 2.0], 5)


def test_same_model_same_bytes(tmp_path):
    prefix = save_checkpoint(tmp_path, 5, 1.0)
    pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "a.tgz")
    for name in os.listdir(tmp_path):
        os.utime(tmp_path / name, (10, 10))
    pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "other_name.tgz")
    assert (tmp_path / "a.tgz").read_bytes() == (tmp_path / "other_name.tgz").read_bytes()


def test_several_data_files(tmp_path):
    (tmp_path / "model_flags.json").write_bytes(FLAGS)
    contents = {".index": b"i", ".data-00000-of-00002": b"first", ".data-00001-of-00002": b"second"}
    for suffix, content in contents.items():
        (tmp_path / f"ckpt[1]{suffix}").write_bytes(content)  # no glob pattern
    pack_model(tmp_path / "model_flags.json", tmp_path / "ckpt[1]", tmp_path / "model.tgz")
    unpack_model(tmp_path / "model.tgz", tmp_path / "unpacked")
    for suffix, content in contents.items():
        assert (tmp_path / f"unpacked/inference_model{suffix}").read_bytes() == content


def test_remote_paths(tmp_path):
    prefix = save_checkpoint(tmp_path, 5, 1.0)
    pack_model(f"file://{tmp_path}/model_flags.json", f"file://{prefix}", "ram://archives/model.tgz")
    unpack_model("ram://archives/model.tgz", f"file://{tmp_path}/unpacked")
    assert restore(tmp_path / "unpacked") == ([1.0, 2.0], 5)
    with pytest.raises(FileNotFoundError, match=r"ram://archives/no.tgz does not exist"):
        unpack_model("ram://archives/no.tgz", tmp_path / "other")


def test_an_earlier_model_is_replaced_completely(tmp_path):
    first = write_archive(
        tmp_path / "a.tgz",
        [MODEL[0], MODEL[1], *((f"inference_model.data-{i:05d}-of-00002", b"old") for i in range(2))],
    )
    unpack_model(first, tmp_path / "model")
    unpack_model(write_archive(tmp_path / "b.tgz", MODEL), tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == ["checkpoint", DATA, INDEX, "model_flags.json"]


# -------------------------------------------------------------------------------------------- errors of pack


def test_pack_needs_a_complete_checkpoint(tmp_path):
    def pack():
        pack_model(tmp_path / "model_flags.json", tmp_path / "model.ckpt-5", tmp_path / "model.tgz")

    with pytest.raises(FileNotFoundError, match=r"model.ckpt-5 is not a complete .*model.ckpt-5.index is miss"):
        pack()
    (tmp_path / "model.ckpt-5.index").write_bytes(b"")
    (tmp_path / "model.ckpt-50.data-00000-of-00001").write_bytes(b"")  # another checkpoint's
    with pytest.raises(FileNotFoundError, match=r"model.ckpt-5.data-\* is missing"):
        pack()
    (tmp_path / "model.ckpt-5.data-00000-of-00002").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="its data files are not the 2 of one checkpoint"):
        pack()
    (tmp_path / "model.ckpt-5.data-00001-of-00002").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"model_flags.json"):
        pack()
    with pytest.raises(FileNotFoundError, match="is not a complete checkpoint"):
        pack_model(tmp_path / "model_flags.json", tmp_path / "no_dir/model.ckpt-5", tmp_path / "model.tgz")
    assert not (tmp_path / "model.tgz").exists()


def test_failed_pack_leaves_the_earlier_archive(tmp_path):
    prefix = save_checkpoint(tmp_path, 5, 1.0)
    (tmp_path / "model.tgz").write_bytes(b"old")
    (tmp_path / "model_flags.json").unlink()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FileNotFoundError):
        pack_model(tmp_path / "model_flags.json", prefix, tmp_path / "model.tgz")
    assert (tmp_path / "model.tgz").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == before


# ------------------------------------------------------------------------------------------ hostile archives


def refuse(tmp_path, archive, message, **arguments):
    """`archive` must be refused, and the folder must hold the same as before."""
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(ArchiveError, match=message) as caught:
        unpack_model(archive, tmp_path / "target", **arguments)
    assert str(archive) in str(caught.value)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/model_flags.json",
        "../model_flags.json",
        "./model_flags.json",
        "sub/model_flags.json",
        "..",
        "notes.txt",
        "Model_flags.json",
        "model_flags.json\n",
        "inference_model.data-00000-of-00001.tempstate",
        "inference_model.data-0-of-1",
        "inference_model.data-٠٠٠٠٠-of-00001",  # digits, but not ASCII ones
        "n" * 150,  # GNU tar stores it in a member of a type of its own
    ],
)
def test_names_outside_the_list(tmp_path, name):
    refuse(tmp_path, write_archive(tmp_path / "a.tgz", [(name, b"x"), *MODEL]), "member '.*accepted")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.DIRTYPE, "a directory"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "of a special type"),
        (b"~", "of a special type"),
    ],
)
def test_members_that_are_not_regular_files(tmp_path, kind, words):
    link, _ = regular(DATA, b"", type=kind, linkname="/etc/passwd")
    archive = write_archive(tmp_path / "a.tgz", [*MODEL[:2], (link, b"")])
    refuse(tmp_path, archive, rf"member '{DATA}.*': it is {words}; only regular files are accepted")


def test_member_twice(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", [*MODEL, (INDEX, b"other")])
    refuse(tmp_path, archive, f"member '{INDEX}': it is there twice")


def test_too_many_members(tmp_path):
    shards = [(f"inference_model.data-{i:05d}-of-00200", b"") for i in range(200)]
    refuse(tmp_path, write_archive(tmp_path / "a.tgz", [*MODEL[:2], *shards]), "more than 100 members")


def test_too_many_extended_headers(tmp_path):
    header = tarfile.TarInfo.create_pax_global_header({"comment": "x"})
    (tmp_path / "a.tgz").write_bytes(gzip.compress(header * 1000))
    refuse(tmp_path, tmp_path / "a.tgz", "more than 100 members")


@pytest.mark.parametrize("missing", ["model_flags.json", INDEX, DATA])
def test_incomplete_archives(tmp_path, missing):
    archive = write_archive(tmp_path / "a.tgz", [pair for pair in MODEL if pair[0] != missing])
    refuse(tmp_path, archive, rf"{missing[:20]}.* is missing; it must hold model_flags.json and the files")


def test_data_files_of_two_checkpoints(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", [*MODEL, ("inference_model.data-00001-of-00002", b"")])
    refuse(tmp_path, archive, "its data files are not the 1 of one checkpoint")


def test_archive_of_the_original_starter_code(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", [MODEL[0], MODEL[2], ("inference_model.meta", b"g"), MODEL[1]])
    refuse(tmp_path, archive, "member 'inference_model.meta': it is a TensorFlow 1 graph.*does not run")


def test_size_is_counted_not_believed(tmp_path):
    bomb = write_archive(tmp_path / "a.tgz", [*MODEL[:2], (DATA, bytes(50_000_000))])
    assert bomb.stat().st_size < 100_000
    refuse(tmp_path, bomb, "uncompressed size exceeds the limit of max_bytes=10000000 bytes", max_bytes=10_000_000)
    unpack_model(bomb, tmp_path / "target", max_bytes=51_000_000)


def test_zeros_without_end_after_the_last_member(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    raw = gzip.decompress(archive.read_bytes()) + bytes(50_000_000)
    archive.write_bytes(gzip.compress(raw))
    refuse(tmp_path, archive, "exceeds the limit", max_bytes=10_000_000)


def test_huge_extended_header(tmp_path):
    header, _ = regular("pax", b"", type=tarfile.XHDTYPE, size=1 << 40)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(50_000_000)))
    refuse(tmp_path, tmp_path / "a.tgz", "exceeds the limit", max_bytes=10_000_000)


def test_huge_flags(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", [("model_flags.json", bytes(2_000_000)), *MODEL[1:]])
    refuse(tmp_path, archive, "member 'model_flags.json': it has 2000000 bytes; flags never need more than")


def test_negative_size(tmp_path):
    header, _ = regular(DATA, b"", size=-1024)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)))
    refuse(tmp_path, tmp_path / "a.tgz", "corrupt .*negative size")


def test_checkpoint_file_that_points_elsewhere(tmp_path):
    evil = b'model_checkpoint_path: "/somewhere/else/model"\n'
    unpack_model(write_archive(tmp_path / "a.tgz", [*MODEL, ("checkpoint", evil)]), tmp_path / "target")
    assert tf.train.latest_checkpoint(str(tmp_path / "target")) == str(tmp_path / "target/inference_model")


def test_archives_made_by_other_programs(tmp_path):
    """Without a `checkpoint` file, with times, owners and POSIX extended headers, as `tar` writes them."""
    members = [regular(name, content, mtime=1.5, uname="somebody", mode=0o600) for name, content in MODEL]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        unpack_model(write_archive(tmp_path / "a.tgz", members, form), tmp_path / "target")
        assert (tmp_path / "target" / DATA).read_bytes() == b"weights" * 1000


# ------------------------------------------------------------------------------------------ corrupt archives


def test_not_a_gzip_file(tmp_path):
    for content in (b"", b"PK\x03\x04 not a tar", b"\x1f\x8b"):
        (tmp_path / "a.tgz").write_bytes(content)
        refuse(tmp_path, tmp_path / "a.tgz", "it is corrupt or not a gzipped tar")
    (tmp_path / "a.tgz").write_bytes(gzip.compress(b"no tar" * 1000))
    refuse(tmp_path, tmp_path / "a.tgz", "it is corrupt or not a gzipped tar")


def test_every_truncation_is_noticed(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    content = archive.read_bytes()
    for length in range(len(content)):
        archive.write_bytes(content[:length])
        with pytest.raises(ArchiveError, match="it is corrupt"):
            unpack_model(archive, tmp_path / "target")
    assert os.listdir(tmp_path) == ["a.tgz"]


def test_truncated_tar_in_a_sound_gzip(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    raw = gzip.decompress(archive.read_bytes())
    end = raw.rstrip(b"\0")
    for length in range(0, len(end), 256):
        archive.write_bytes(gzip.compress(raw[:length]))
        refuse(tmp_path, archive, "it is corrupt")


def test_something_behind_the_end(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()) + b"x"))
    refuse(tmp_path, archive, "there is something behind the end of the archive")


def test_wrong_check_sum(tmp_path):
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1
    archive.write_bytes(content)
    refuse(tmp_path, archive, "it is corrupt .*CRC")


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_headers_are_unpacked_or_refused(tmp_path, data):
    """Random bytes in a tar whose gzip is sound: nothing but ArchiveError, nothing outside the target."""
    raw = bytearray(gzip.decompress(write_archive(tmp_path / "a.tgz", MODEL).read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.sampled_from([0, 1024, 2048])) + data.draw(st.integers(0, 511))
        raw[start] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):  # with a check sum that fits, the damage gets further
        for start in (0, 1024, 2048):
            raw[start + 148 : start + 156] = b" " * 8
            raw[start + 148 : start + 156] = b"%06o\0 " % sum(raw[start : start + 512])
    (tmp_path / "a.tgz").write_bytes(gzip.compress(bytes(raw), 1))
    with contextlib.suppress(ArchiveError):
        unpack_model(tmp_path / "a.tgz", tmp_path / "target", max_bytes=1_000_000)
    assert set(os.listdir(tmp_path)) <= {"a.tgz", "target"}
    if (tmp_path / "target").exists():
        assert sorted(os.listdir(tmp_path / "target")) == ["checkpoint", DATA, INDEX, "model_flags.json"]


# -------------------------------------------------------------------------------------- the target directory


def test_missing_archive(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.tgz"):
        unpack_model(tmp_path / "no.tgz", tmp_path / "target")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("occupy", ["train.log", "checkpoint/x"])
def test_target_that_holds_other_things(tmp_path, occupy):
    path = tmp_path / "target" / occupy
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    archive = write_archive(tmp_path / "a.tgz", MODEL)
    refuse(tmp_path, archive, rf"target directory is not free: .*holds '{occupy.split('/')[0]}'; remove it or")
    assert path.read_text() == "mine"


def test_target_that_is_a_file(tmp_path):
    (tmp_path / "target").write_text("mine")
    refuse(tmp_path, write_archive(tmp_path / "a.tgz", MODEL), "target directory is not free: .*it is a file")


def test_refused_archive_leaves_the_earlier_model(tmp_path):
    unpack_model(write_archive(tmp_path / "a.tgz", MODEL), tmp_path / "target")
    bad = write_archive(tmp_path / "b.tgz", [("model_flags.json", b"new"), (INDEX, b"new")])
    refuse(tmp_path, bad, r"inference_model.data-\* is missing")
    assert (tmp_path / "target/model_flags.json").read_bytes() == FLAGS
    assert (tmp_path / "target" / INDEX).read_bytes() == b"index"
