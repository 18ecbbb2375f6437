"""Holes and huge offsets."""

import os
import resource
import signal
import subprocess
from errno import (
    EFBIG,
    EINVAL,
    ENXIO,
    EOPNOTSUPP,
)
from pathlib import Path

import pytest

from tests.mount.calls import fallocate, refused
from tests.mount.posix.checks import PAGE
from tests.mount.processes import in_child


@pytest.mark.parametrize("offset", [10_000, 300_000, 2**31, 2**40, 2**62])
def test_a_write_far_behind_the_end_leaves_a_hole(fd: int, offset: int) -> None:
    os.write(fd, b"begin")
    os.pwrite(fd, b"end", offset)
    assert os.fstat(fd).st_size == offset + 3
    assert os.pread(fd, 100, 0) == b"begin".ljust(100, b"\0")
    assert os.pread(fd, 100, offset // 2) == bytes(100)
    assert os.pread(fd, 100, offset - 4) == b"\0\0\0\0end"


@pytest.mark.parametrize("size", [2**40, 2**62, 2**63 - 1])
def test_truncate_to_a_huge_size_makes_a_hole(fd: int, size: int) -> None:
    os.write(fd, b"begin")
    os.ftruncate(fd, size)
    assert os.fstat(fd).st_size == size
    assert os.pread(fd, 10, size - 10) == bytes(10)
    os.ftruncate(fd, 5)
    assert os.pread(fd, 10, 0) == b"begin"


def test_a_hole_takes_no_blocks(fd: int) -> None:
    os.pwrite(fd, b"x", 2**40)
    assert os.fstat(fd).st_blocks * 512 <= 1 << 20


def test_writing_fills_a_hole(fd: int) -> None:
    os.pwrite(fd, b"end", 2**30)
    os.pwrite(fd, b"x" * 500_000, 2**29)
    assert os.pread(fd, 500_002, 2**29 - 1) == b"\0" + b"x" * 500_000 + b"\0"
    assert os.fstat(fd).st_size == 2**30 + 3


def test_cutting_in_a_hole_loses_what_was_behind(fd: int) -> None:
    os.pwrite(fd, b"middle", 2**29)
    os.pwrite(fd, b"end", 2**30)
    os.ftruncate(fd, 2**29 + 3)
    os.ftruncate(fd, 2**31)
    assert os.pread(fd, 10, 2**29) == b"mid" + bytes(7)
    assert os.pread(fd, 10, 2**30) == bytes(10)


@pytest.mark.parametrize("offset", [2**63 - 2, 2**63 - 1])
def test_a_write_behind_the_largest_offset_is_refused(fd: int, offset: int) -> None:
    with refused(EFBIG, EINVAL):  # Linux says EINVAL before it asks the filesystem
        os.pwrite(fd, b"xyz", offset)
    assert os.fstat(fd).st_size == 0


def test_a_write_up_to_the_largest_offset_succeeds(fd: int) -> None:
    assert os.pwrite(fd, b"x", 2**63 - 2) == 1
    assert os.fstat(fd).st_size == 2**63 - 1
    assert os.pread(fd, 2, 2**63 - 3) == b"\0x"


def test_negative_offsets_and_sizes_are_refused(fd: int) -> None:
    with refused(EINVAL):
        os.pwrite(fd, b"x", -1)
    with refused(EINVAL):
        os.pread(fd, 1, -1)
    with refused(EINVAL):
        os.ftruncate(fd, -1)
    with refused(EINVAL):
        os.lseek(fd, -1, os.SEEK_SET)


def test_a_write_over_rlimit_fsize_is_refused(directory: Path) -> None:
    def write() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        fd = os.open(directory / "file", os.O_CREAT | os.O_WRONLY)
        written = os.write(fd, b"x" * 2_000)
        os.write(fd, b"x")
        return written

    with refused(EFBIG):
        in_child(write)
    assert (directory / "file").stat().st_size == 1_000


def test_seek_hole_and_seek_data_find_data_and_the_end(fd: int) -> None:
    os.write(fd, b"x" * PAGE * 2)
    assert os.lseek(fd, PAGE, os.SEEK_DATA) == PAGE
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 2 * PAGE
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        with refused(ENXIO):
            os.lseek(fd, 2 * PAGE, whence)


def test_cp_with_holes_copies_what_is_there(directory: Path, fd: int) -> None:
    os.pwrite(fd, b"middle", 1_000_000)
    os.ftruncate(fd, 2_000_000)
    subprocess.run(["cp", "--sparse=always", directory / "file", directory / "copy"], check=True)
    assert (directory / "copy").read_bytes() == (directory / "file").read_bytes()


def test_fallocate_makes_room_or_says_that_it_cannot(fd: int) -> None:
    os.write(fd, b"text")
    try:
        fallocate(fd, 0, 0, 10_000)
        size = 10_000
    except OSError as error:
        assert error.errno == EOPNOTSUPP  # noqa: PT017  # both outcomes are right
        size = 4
    assert os.fstat(fd).st_size == size
    assert os.pread(fd, 20_000, 0) == b"text".ljust(size, b"\0")


def test_posix_fallocate_makes_room(fd: int) -> None:
    os.write(fd, b"text")
    os.posix_fallocate(fd, 0, 10_000)
    assert os.pread(fd, 20_000, 0) == b"text".ljust(10_000, b"\0")
