"""System calls that Python's os module hasn't got, and how they are refused."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from errno import errorcode
from pathlib import Path
from typing import NamedTuple

import pytest

libc = ctypes.CDLL(None, use_errno=True)
libc.lseek.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int]
libc.lseek.restype = ctypes.c_long
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
libc.getdents64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.getdents64.restype = ctypes.c_ssize_t

#: linux/fs.h
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

#: linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400


@contextmanager
def refused(*numbers: int) -> Iterator[None]:
    """Expect a system call to fail with this errno, or one of these."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the errno is compared by name
        yield
    assert errorcode[caught.value.errno or 0] in [errorcode[number] for number in numbers]


def check(result: int) -> int:
    """Return a libc function's result, or raise its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Line(NamedTuple):
    """A line of a listing; *place* is d_off, where the next one starts."""

    ino: int
    place: int
    type: int
    name: bytes


def getdents(fd: int, size: int = 1 << 15) -> list[Line]:
    """Read on in a directory, with a buffer of *size* bytes; empty at its end."""
    buffer = ctypes.create_string_buffer(size)
    length = check(libc.getdents64(fd, buffer, size))
    lines = []
    at = 0
    while at < length:
        # struct linux_dirent64 of getdents(2)
        ino, place, record, kind = struct.unpack_from("=QqHB", buffer, at)
        name = ctypes.string_at(ctypes.addressof(buffer) + at + 19)
        lines.append(Line(ino, place, kind, name))
        at += record
    return lines


def renameat2(source: bytes, target: bytes, flags: int) -> None:
    """Rename with flags, as RENAME_NOREPLACE."""
    check(libc.renameat2(AT_FDCWD, source, AT_FDCWD, target, flags))


def link_following(source: Path, target: Path) -> None:
    """Link what *source* leads to; os.link doesn't follow symlinks, whatever it is told."""
    paths = os.fsencode(source), os.fsencode(target)
    check(libc.linkat(AT_FDCWD, paths[0], AT_FDCWD, paths[1], AT_SYMLINK_FOLLOW))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Make room in a file; 0 is the usual mode."""
    check(libc.fallocate(fd, mode, offset, length))


def access(path: Path) -> None:
    """Ask whether a file is there; os.access doesn't tell why not."""
    check(libc.access(os.fsencode(path), os.F_OK))
