"""Copying in the kernel."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.mount.calls import check, libc
from tests.mount.posix.checks import BIG, noise


def test_sendfile_copies_out_of_and_into_a_file(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").write_bytes(noise(BIG))
    target = handle(directory / "copy", os.O_CREAT | os.O_WRONLY)
    source = handle(directory / "file")
    sent = 0
    while sent < BIG:
        sent += os.sendfile(target, source, sent, BIG)
    assert (directory / "copy").read_bytes() == noise(BIG)


def test_copy_file_range_copies(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(noise(BIG))
    target = handle(directory / "copy", os.O_CREAT | os.O_WRONLY)
    source = handle(directory / "file")
    copied = 0
    while copied < BIG:
        copied += os.copy_file_range(source, target, BIG, copied, copied)
    assert (directory / "copy").read_bytes() == noise(BIG)


def test_splice_moves_data_through_a_pipe(fd: int) -> None:
    reader, writer = os.pipe()
    try:
        os.write(fd, b"text")
        assert os.splice(fd, writer, 4, 0) == 4
        assert os.read(reader, 10) == b"text"
        os.write(writer, b"more")
        assert os.splice(reader, fd, 4, None, 4) == 4
        assert os.pread(fd, 10, 0) == b"textmore"
    finally:
        os.close(reader)
        os.close(writer)


def test_fsync_of_files_and_directories_succeeds(
    directory: Path, fd: int, handle: Callable[..., int]
) -> None:
    os.write(fd, b"text")
    os.fsync(fd)
    os.fdatasync(fd)
    os.fsync(handle(directory))
    check(libc.syncfs(fd))
