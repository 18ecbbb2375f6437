"""A file whose creator is still at it."""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.posix.checks import PAGE
from tests.mount.processes import in_child


def test_a_reader_sees_what_the_creator_has_written_so_far(
    directory: Path, writer: int, handle: Callable[..., int]
) -> None:
    reader = handle(directory / "file")
    assert os.read(reader, 100) == b"begin"
    os.write(writer, b" and")
    assert os.fstat(reader).st_size == 9
    assert os.read(reader, 100) == b" and"
    assert os.read(reader, 100) == b""
    os.write(writer, b" end")
    assert os.read(reader, 100) == b" end"


def test_a_reader_in_another_process_sees_it_too(directory: Path, writer: int) -> None:
    assert in_child((directory / "file").read_bytes) == b"begin"
    os.write(writer, b" end")
    assert in_child((directory / "file").read_bytes) == b"begin end"


def test_a_reader_that_opened_before_the_creators_close_sees_later_writers(
    directory: Path, handle: Callable[..., int]
) -> None:
    creator = os.open(directory / "file", os.O_CREAT | os.O_WRONLY)
    os.write(creator, b"one")
    before = handle(directory / "file")
    assert os.pread(before, 100, 0) == b"one"
    os.close(creator)
    after = handle(directory / "file")
    assert os.pread(after, 100, 0) == b"one"
    with (directory / "file").open("ab") as later:
        later.write(b"two")
    assert os.pread(before, 100, 0) == b"onetwo"
    assert os.pread(after, 100, 0) == b"onetwo"


def test_a_second_writer_while_the_creator_writes_is_seen_by_all(
    directory: Path, writer: int, handle: Callable[..., int]
) -> None:
    reader = handle(directory / "file")
    second = handle(directory / "file", os.O_RDWR)
    os.pwrite(second, b"B", 0)
    os.pwrite(writer, b"N", 4)
    for fd in (reader, second):
        assert os.pread(fd, 100, 0) == b"BegiN"


@pytest.mark.usefixtures("writer")
def test_a_private_mapping_made_while_the_creator_writes_reads(
    directory: Path, handle: Callable[..., int]
) -> None:
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
        assert mapped[:] == b"begin"


def test_a_private_mapping_made_while_the_creator_writes_leaves_nothing_old_behind(
    directory: Path, handle: Callable[..., int]
) -> None:
    creator = os.open(directory / "file", os.O_CREAT | os.O_WRONLY)
    os.write(creator, b"x" * PAGE)
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
        assert mapped[:1] == b"x"
        os.pwrite(creator, b"y" * PAGE, 0)
    os.close(creator)
    assert (directory / "file").read_bytes() == b"y" * PAGE


def test_a_mapping_made_after_the_creators_close_sees_later_writers(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").write_bytes(b"one")
    with mmap.mmap(handle(directory / "file"), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        with (directory / "file").open("r+b") as later:
            later.write(b"two")
        assert mapped[:] == b"two"


def test_a_file_shrinks_for_all_handles(
    directory: Path, writer: int, handle: Callable[..., int]
) -> None:
    reader = handle(directory / "file")
    assert os.pread(reader, 100, 0) == b"begin"
    os.truncate(directory / "file", 2)
    assert os.pread(reader, 100, 0) == b"be"
    os.pwrite(writer, b"!", 4)
    assert os.pread(reader, 100, 0) == b"be\0\0!"
