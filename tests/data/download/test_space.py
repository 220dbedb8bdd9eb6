"""Room on a disk that is shared out among several files."""

import shutil

import pytest

from yt8m_distill.data.download.space import DiskSpace, OutOfSpace, format_bytes


@pytest.fixture
def disk(monkeypatch):
    """A disk of which a test sets the free bytes."""

    class Disk:
        free = 0

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk)
    return Disk


def test_room_is_not_granted_twice(disk):
    disk.free = 100
    space = DiskSpace("/data", keep_free=20)
    with space.claim("a", 50) as claim:
        claim.use(10)
        disk.free = 90
        with pytest.raises(OutOfSpace) as error, space.claim("b", 31):
            pass
        assert str(error.value) == (
            "/data: no room for the 31 bytes of b: 90 bytes are free, of which 40 bytes are for files under way and "
            "20 bytes must stay free"
        )
        with space.claim("b", 30):
            pass
    with space.claim("b", 70):  # the first one was given up
        pass


def test_a_size_that_is_unknown_is_granted_step_by_step(disk):
    step = 1 << 26
    disk.free = step + 10
    space = DiskSpace("/data", keep_free=0)
    with space.claim("a", None) as claim:
        claim.use(1)
        claim.use(step - 1)
        disk.free = 10
        with pytest.raises(OutOfSpace, match=r"/data: no room for the 67\.1 MB of a: "):
            claim.use(1)


@pytest.mark.parametrize(
    "num_bytes, text", [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (1.5e15, "1500.0 TB")]
)
def test_format_bytes(num_bytes, text):
    assert format_bytes(num_bytes) == text
