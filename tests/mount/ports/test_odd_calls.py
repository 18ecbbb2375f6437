"""What a port isn't for is refused, and loses nothing."""

import ctypes
import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    EINVAL,
    ENODEV,
    ENOSYS,
    EOPNOTSUPP,
    EPERM,
    ESPIPE,
    EXDEV,
)
from pathlib import Path

import pytest

from tests.mount.calls import check, fallocate, libc, refused
from tests.mount.making import Call, each
from tests.mount.ports.using import opened, put, take_all
from tests.mount.processes import Fork, in_child

PROT_READ, PROT_WRITE = 1, 2
MAP_SHARED, MAP_PRIVATE = 1, 2

names = pytest.mark.parametrize("name", [".pipe", ".lines"])
flags = pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])

#: A call that gets a port's descriptor.
OnHandle = Callable[[int], object]


@pytest.fixture
def held(queue: Path) -> Iterator[Path]:
    """A queue of two messages, which are both there in the end, and nothing else."""
    put(queue, b"one", b"two")
    yield queue
    assert take_all(queue) == [b"one", b"two"]


def map_port(fd: int, protection: int, how: int) -> int:
    """Map a port's first page; Python's own mmap looks at the size first."""
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(4096), protection, how, fd, ctypes.c_long(0))
    if address == ctypes.c_void_p(-1).value:
        check(-1)
    assert isinstance(address, int)
    return address


POSITIONED: dict[str, OnHandle] = {
    "pread": lambda fd: os.pread(fd, 100, 0),
    "pread elsewhere": lambda fd: os.pread(fd, 100, 10),
    "pwrite": lambda fd: os.pwrite(fd, b"x", 0),
    "pwrite elsewhere": lambda fd: os.pwrite(fd, b"x", 10),
    "preadv": lambda fd: os.preadv(fd, [bytearray(100)], 0),
    "pwritev": lambda fd: os.pwritev(fd, [b"x"], 0),
    "SEEK_SET": lambda fd: os.lseek(fd, 0, os.SEEK_SET),
    "SEEK_CUR": lambda fd: os.lseek(fd, 0, os.SEEK_CUR),
    "SEEK_END": lambda fd: os.lseek(fd, 0, os.SEEK_END),
    "SEEK_DATA": lambda fd: os.lseek(fd, 0, os.SEEK_DATA),
}


@names
@pytest.mark.parametrize("call", POSITIONED.values(), ids=POSITIONED.keys())
def test_a_port_has_no_offsets(held: Path, name: str, call: OnHandle) -> None:
    with opened(held, os.O_RDWR, name) as fd, refused(ESPIPE):
        call(fd)


CHANGES: dict[str, Call] = {
    "truncate": lambda path: os.truncate(path, 0),
    "truncate to more": lambda path: os.truncate(path, 10_000),
    "chmod": lambda path: path.chmod(0o777),
    "chown": lambda path: os.chown(path, 1, 1),
    "chown of the group": lambda path: os.chown(path, -1, 1),
    "utime": lambda path: os.utime(path, (1, 1)),
    "touch": os.utime,
    "setxattr": lambda path: os.setxattr(path, "user.attribute", b""),
    "removexattr": lambda path: os.removexattr(path, "user.attribute"),
    "sticky": lambda path: os.setxattr(path, "user.eventfs_sticky", b""),
    "follow": lambda path: os.setxattr(path, "user.eventfs_follow", b""),
}


@names
@each(CHANGES)
def test_a_port_has_nothing_to_be_changed(held: Path, name: str, call: Call) -> None:
    before = (held / name).stat()
    with refused(EPERM):
        call(held / name)
    after = (held / name).stat()
    assert (after.st_mode, after.st_uid, after.st_size) == (before.st_mode, before.st_uid, 0)


ON_HANDLES: dict[str, tuple[OnHandle, set[int]]] = {
    "ftruncate": (lambda fd: os.ftruncate(fd, 0), {EPERM}),
    "fchmod": (lambda fd: os.fchmod(fd, 0o777), {EPERM}),
    "fchown": (lambda fd: os.fchown(fd, 1, 1), {EPERM}),
    "fallocate": (lambda fd: fallocate(fd, 0, 0, 100), {EOPNOTSUPP, ENOSYS}),
    "punch a hole": (lambda fd: fallocate(fd, 3, 0, 100), {EOPNOTSUPP, ENOSYS}),
    # glibc would write a byte for each block where there is no fallocate.
    "posix_fallocate": (
        lambda fd: os.posix_fallocate(fd, 0, 10_000),
        {EOPNOTSUPP, ENODEV, ESPIPE, EINVAL},
    ),
}


@names
@pytest.mark.parametrize(("call", "numbers"), ON_HANDLES.values(), ids=ON_HANDLES.keys())
def test_an_open_one_neither(held: Path, name: str, call: OnHandle, numbers: set[int]) -> None:
    with opened(held, os.O_RDWR, name) as fd, refused(*numbers):
        call(fd)


@names
@flags
def test_to_sync_it_is_allowed_or_refused_and_changes_nothing(
    held: Path, name: str, flags: int
) -> None:
    with opened(held, flags, name) as fd:
        for call in (os.fsync, os.fdatasync):
            try:
                call(fd)
            except OSError as error:
                assert error.errno == EINVAL  # noqa: PT017  # as of a pipe (fsync(2))


@names
@pytest.mark.parametrize("protection", [PROT_READ, PROT_READ | PROT_WRITE])
def test_it_can_not_be_mapped_shared(held: Path, name: str, protection: int) -> None:
    with opened(held, os.O_RDWR, name) as fd, refused(ENODEV):
        map_port(fd, protection, MAP_SHARED)


@names
def test_to_touch_a_private_mapping_is_an_error_and_takes_nothing(
    held: Path, name: str, fork: Fork
) -> None:
    reader, writer = os.pipe()

    def touch() -> None:
        if os.fork() == 0:
            with opened(held, os.O_RDONLY, name) as fd:
                ctypes.string_at(map_port(fd, PROT_READ, MAP_PRIVATE), 1)
            os._exit(0)
        os.write(writer, b"%d" % os.waitstatus_to_exitcode(os.wait()[1]))

    fork(touch)
    assert int(os.read(reader, 100)) in (-signal.SIGBUS, -signal.SIGSEGV)
    os.close(reader)
    os.close(writer)


@flags
def test_what_it_is_not_opened_for_is_refused(held: Path, flags: int) -> None:
    with opened(held, flags) as fd:
        if flags == os.O_WRONLY:
            with refused(EBADF):
                os.read(fd, 100)
        if flags == os.O_RDONLY:
            with refused(EBADF):
                os.write(fd, b"x")


def test_a_handle_without_rights_opens_nothing(held: Path) -> None:
    with opened(held, os.O_PATH) as fd:
        assert os.fstat(fd).st_size == 0
        with refused(EBADF):
            os.read(fd, 100)
        with refused(EBADF):
            os.write(fd, b"x")


def test_it_is_no_directory_and_no_program(held: Path) -> None:
    with pytest.raises(NotADirectoryError):
        os.open(held / ".pipe", os.O_RDONLY | os.O_DIRECTORY)
    with refused(EACCES):
        in_child(lambda: os.execv(held / ".pipe", ["pipe"]))  # noqa: S606


@names
def test_sendfile_and_splice_from_it_lose_nothing(held: Path, name: str) -> None:
    reader, writer = os.pipe()
    with opened(held, os.O_RDONLY, name) as fd:
        calls: list[Callable[[], int]] = [
            lambda: os.sendfile(writer, fd, None, 100),
            lambda: os.splice(fd, writer, 100),
        ]
        for call in calls:
            try:
                assert call() == 0
            except OSError as error:
                assert error.errno in (EINVAL, ESPIPE)  # noqa: PT017  # either will do
    os.close(writer)
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_copy_file_range_from_it_loses_nothing(held: Path) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(opened(held, os.O_RDONLY))
        file = stack.enter_context(tempfile.TemporaryFile())
        try:
            assert os.copy_file_range(port, file.fileno(), 100) == 0
        except OSError as error:
            assert error.errno in (EINVAL, EXDEV, EOPNOTSUPP)  # noqa: PT017  # either will do


def test_sendfile_to_it_is_a_message(queue: Path) -> None:
    with tempfile.TemporaryFile() as file, opened(queue, os.O_WRONLY) as fd:
        file.write(b"0123456789" * 100)
        file.flush()
        assert os.sendfile(fd, file.fileno(), 10, 500) == 500
    assert take_all(queue) == [b"0123456789" * 50]


def test_splice_to_it_is_a_message(queue: Path) -> None:
    reader, writer = os.pipe()
    with opened(queue, os.O_WRONLY) as fd:
        os.write(writer, b"message")
        assert os.splice(reader, fd, 100) == 7
    os.close(reader)
    os.close(writer)
    assert take_all(queue) == [b"message"]


@names
def test_flock_locks_it(held: Path, name: str) -> None:
    with opened(held, os.O_RDONLY, name) as one, opened(held, os.O_RDWR, name) as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        with refused(EAGAIN):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@names
def test_fcntl_locks_it_against_other_processes(held: Path, name: str) -> None:
    def lock() -> str:
        with opened(held, os.O_RDWR, name) as fd:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                return "locked"
        return "free"

    with opened(held, os.O_RDWR, name) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        assert in_child(lock) == "locked"
        fcntl.lockf(fd, fcntl.LOCK_UN)
        assert in_child(lock) == "free"


def test_a_buffer_that_is_not_there_takes_no_message(held: Path) -> None:
    with opened(held, os.O_RDONLY) as fd, pytest.raises(OSError, match="Bad address"):
        check(libc.read(fd, ctypes.c_void_p(8), ctypes.c_size_t(100)))


def test_a_buffer_that_is_not_there_is_no_message(held: Path) -> None:
    for access in (os.O_WRONLY, os.O_RDWR):
        with opened(held, access) as fd, pytest.raises(OSError, match="Bad address"):
            check(libc.write(fd, ctypes.c_void_p(8), ctypes.c_size_t(100)))


def test_programs_that_look_into_files_lose_nothing(held: Path) -> None:
    subprocess.run(["cp", "-r", held, "/dev/null"], check=False, capture_output=True)
    subprocess.run(["du", "-a", held], check=True, capture_output=True)
    subprocess.run(["grep", "-r", "nothing", held], check=False, capture_output=True)
    subprocess.run(["stat", held / ".pipe"], check=True, capture_output=True)
