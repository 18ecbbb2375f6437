"""Times."""

import ctypes
import mmap
import os
import time
from collections.abc import Callable
from errno import (
    EACCES,
    EPERM,
)
from pathlib import Path

import pytest

from tests.mount.calls import check, libc, refused
from tests.mount.posix.checks import (
    CLOCK_REALTIME_COARSE,
    changes,
    moved,
    set_old,
    tick,
)
from tests.mount.processes import ALICE, in_child


def test_a_new_file_has_the_time_of_its_making(directory: Path) -> None:
    before = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    (directory / "file").touch()
    status = (directory / "file").stat()
    assert before <= status.st_atime_ns == status.st_mtime_ns == status.st_ctime_ns
    assert status.st_ctime_ns <= time.time_ns()


def test_utimensat_sets_times_to_the_nanosecond(directory: Path) -> None:
    (directory / "file").touch()
    os.utime(directory / "file", ns=(1_000_000_001, 2_123_456_789))
    status = (directory / "file").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_001, 2_123_456_789)


@pytest.mark.parametrize("seconds", [-1, 2**31, 2**33])
def test_utimensat_takes_times_long_ago_and_far_ahead(directory: Path, seconds: int) -> None:
    (directory / "file").touch()
    os.utime(directory / "file", (seconds, seconds))
    assert (directory / "file").stat().st_mtime == seconds


def test_utimensat_moves_ctime(directory: Path) -> None:
    (directory / "file").touch()
    set_old(directory / "file")
    before = (directory / "file").stat()
    tick()
    os.utime(directory / "file", (1, 1))
    assert moved(before, (directory / "file").stat()) == {"ctime"}


#: linux/stat.h
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2


def utimensat(path: Path, atime_ns: int, mtime_ns: int) -> None:
    """Set times given by tv_nsec alone, which may be UTIME_NOW or UTIME_OMIT."""
    times = (ctypes.c_long * 4)(0, atime_ns, 0, mtime_ns)
    check(libc.utimensat(-100, os.fsencode(path), times, 0))


def test_utime_omit_leaves_a_time_alone(directory: Path) -> None:
    (directory / "file").touch()
    os.utime(directory / "file", (1, 2))
    utimensat(directory / "file", UTIME_OMIT, 5)
    status = (directory / "file").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (10**9, 5)
    utimensat(directory / "file", 7, UTIME_OMIT)
    status = (directory / "file").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == (7, 5)


def test_utime_now_is_now(directory: Path) -> None:
    (directory / "file").touch()
    os.utime(directory / "file", (1, 2))
    before = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
    utimensat(directory / "file", UTIME_OMIT, UTIME_NOW)
    status = (directory / "file").stat()
    assert status.st_atime == 1
    assert before <= status.st_mtime_ns <= time.time_ns()


def test_who_may_write_may_set_the_time_to_now_but_to_nothing_else(open_directory: Path) -> None:
    (open_directory / "file").touch()
    (open_directory / "file").chmod(0o666)
    in_child(lambda: utimensat(open_directory / "file", UTIME_NOW, UTIME_NOW), ALICE)
    with refused(EPERM):
        in_child(lambda: os.utime(open_directory / "file", (1, 1)), ALICE)
    (open_directory / "file").chmod(0o644)
    with refused(EACCES):
        in_child(lambda: utimensat(open_directory / "file", UTIME_NOW, UTIME_NOW), ALICE)


def test_writing_moves_mtime_and_ctime(directory: Path, fd: int) -> None:
    assert changes(directory, lambda: os.write(fd, b"x")) == {"mtime", "ctime"}


def test_truncating_moves_mtime_and_ctime(directory: Path, fd: int) -> None:
    assert changes(directory, lambda: os.ftruncate(fd, 10)) == {"mtime", "ctime"}
    assert changes(directory, lambda: os.truncate(directory / "file", 5)) == {"mtime", "ctime"}


def test_o_trunc_moves_mtime_and_ctime(directory: Path, fd: int) -> None:
    os.write(fd, b"x")
    truncate = lambda: os.close(os.open(directory / "file", os.O_WRONLY | os.O_TRUNC))  # noqa: E731
    assert changes(directory, truncate) == {"mtime", "ctime"}


def test_writing_through_a_mapping_moves_mtime_and_ctime(directory: Path, fd: int) -> None:
    os.write(fd, b"text")

    def write() -> None:
        with mmap.mmap(fd, 0) as mapped:
            mapped[:1] = b"T"
            mapped.flush()

    assert changes(directory, write) >= {"mtime", "ctime"}


@pytest.mark.usefixtures("fd")
def test_linking_and_unlinking_a_name_move_ctime(directory: Path) -> None:
    assert changes(directory, lambda: os.link(directory / "file", directory / "2")) == {"ctime"}
    assert changes(directory, (directory / "2").unlink) == {"ctime"}


@pytest.mark.usefixtures("fd")
def test_changing_mode_owner_and_xattrs_moves_ctime(open_directory: Path) -> None:
    path = open_directory / "file"
    assert changes(open_directory, lambda: path.chmod(0o600)) == {"ctime"}
    assert changes(open_directory, lambda: os.chown(path, ALICE, -1)) == {"ctime"}
    assert changes(open_directory, lambda: os.setxattr(path, "user.x", b"1")) == {"ctime"}
    assert changes(open_directory, lambda: os.removexattr(path, "user.x")) == {"ctime"}


@pytest.mark.usefixtures("writer")
def test_the_first_read_after_a_write_moves_atime(
    directory: Path, handle: Callable[..., int]
) -> None:
    reader = handle(directory / "file")
    assert changes(directory, lambda: os.read(reader, 10)) == {"atime"}


def test_a_read_after_another_write_moves_atime_again(directory: Path) -> None:
    path = directory / "file"
    path.write_bytes(b"one")
    path.read_bytes()
    tick()
    with path.open("ab") as file:
        file.write(b"two")
    tick()
    # What the kernel has in its cache by now is read all the same.
    assert changes(directory, path.read_bytes) == {"atime"}


def test_a_new_name_moves_the_directorys_mtime_and_ctime(directory: Path) -> None:
    makers: list[Callable[[], object]] = [
        (directory / "file").touch,
        lambda: os.mknod(directory / "node"),
        lambda: os.link(directory / "file", directory / "link"),
        (directory / "link").unlink,
    ]
    for make in makers:
        assert changes(directory, make, ".") == {"mtime", "ctime"}


def test_writing_a_file_moves_nothing_of_the_directory(directory: Path, fd: int) -> None:
    assert changes(directory, lambda: os.write(fd, b"text"), ".") == set()


def test_listing_moves_the_directorys_atime(directory: Path) -> None:
    (directory / "file").touch()
    set_old(directory)
    assert changes(directory, lambda: os.listdir(directory), ".") == {"atime"}


def test_looking_moves_nothing(directory: Path, fd: int) -> None:
    os.write(fd, b"text")
    look: list[Callable[[], object]] = [
        lambda: os.fstat(fd),
        lambda: os.lseek(fd, 0, os.SEEK_END),
        lambda: os.listxattr(fd),
        lambda: os.access(directory / "file", os.R_OK),
        lambda: os.fsync(fd),
        lambda: os.close(os.open(directory / "file", os.O_RDWR)),
    ]
    for call in look:
        assert changes(directory, call) == set()
