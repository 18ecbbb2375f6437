"""Mapping into memory."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

from tests.mount.posix.checks import (
    BIG,
    PAGE,
    noise,
)


def test_a_shared_mapping_reads(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(noise(BIG))
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        assert mapped[:] == noise(BIG)


def test_a_private_mapping_is_written_without_changing_the_file(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").write_bytes(b"text")
    with mmap.mmap(handle(directory / "file"), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[0:2] = b"TE"
        assert mapped[:] == b"TExt"
    assert (directory / "file").read_bytes() == b"text"


def test_a_shared_mapping_writes(directory: Path, fd: int, handle: Callable[..., int]) -> None:
    os.write(fd, b"text" * PAGE)
    other = handle(directory / "file")
    with mmap.mmap(fd, 0) as mapped:
        mapped[PAGE : PAGE + 2] = b"TE"
        mapped.flush()
        assert os.pread(other, 4, PAGE) == b"TExt"
    assert (directory / "file").read_bytes()[PAGE : PAGE + 4] == b"TExt"


def test_what_a_shared_mapping_has_written_outlives_handle_and_mapping(directory: Path) -> None:
    (directory / "file").write_bytes(bytes(10 * PAGE))
    fd = os.open(directory / "file", os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[5 * PAGE : 5 * PAGE + 4] = b"text"
    mapped.close()
    assert (directory / "file").read_bytes()[5 * PAGE : 5 * PAGE + 5] == b"text\0"


def test_a_write_shows_in_a_mapping(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(b"before")
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        assert mapped[:] == b"before"
        os.write(handle(directory / "file", os.O_WRONLY), b"after!")
        assert mapped[:] == b"after!"


def test_a_mapping_made_after_a_file_has_grown_shows_all_of_it(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").write_bytes(b"x" * 10)
    writer = handle(directory / "file", os.O_WRONLY | os.O_APPEND)
    reader = handle(directory / "file")
    for size in (10, 20):
        with mmap.mmap(reader, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
            assert mapped[:] == b"x" * size
        os.write(writer, b"x" * 10)


def test_a_mapping_of_an_unlinked_file_stays(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(noise(BIG))
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        (directory / "file").unlink()
        assert mapped[:] == noise(BIG)


def test_a_mapping_reads_zeros_in_a_hole(fd: int) -> None:
    os.pwrite(fd, b"end", 10 * PAGE)
    with mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        assert mapped[: 10 * PAGE] == bytes(10 * PAGE)
        assert mapped[10 * PAGE :] == b"end"
