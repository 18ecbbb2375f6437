"""Writing and reading."""

import os
import random
from collections.abc import Callable
from errno import (
    EACCES,
    EBADF,
    EEXIST,
    EINVAL,
    EISDIR,
)
from functools import partial
from pathlib import Path

import pytest

from tests.mount.calls import refused
from tests.mount.posix.checks import BIG, PAGE, noise, set_old
from tests.mount.processes import ALICE, Forked, in_child


def test_a_new_file_is_empty(directory: Path) -> None:
    (directory / "file").touch()
    assert (directory / "file").read_bytes() == b""
    assert (directory / "file").stat().st_size == 0


@pytest.mark.parametrize("size", [1, 100, PAGE - 1, PAGE, PAGE + 1, 131_073, BIG])
def test_what_is_written_at_once_can_be_read(directory: Path, size: int) -> None:
    (directory / "file").write_bytes(noise(size))
    assert (directory / "file").read_bytes() == noise(size)
    assert (directory / "file").stat().st_size == size


def test_what_is_written_in_pieces_of_any_size_can_be_read_in_pieces_of_others(
    directory: Path, handle: Callable[..., int]
) -> None:
    data = noise(BIG)
    sizes = random.Random(1)  # noqa: S311  # data, no secret
    writer = handle(directory / "file", os.O_CREAT | os.O_WRONLY)
    at = 0
    while at < len(data):
        at += os.write(writer, data[at : at + sizes.randrange(1, 200_000)])
    reader = handle(directory / "file")
    read = b""
    while piece := os.read(reader, sizes.randrange(1, 200_000)):
        read += piece
    assert read == data


def test_pwrite_and_pread_leave_the_offset_alone(fd: int) -> None:
    os.write(fd, b"0123456789")
    assert os.pwrite(fd, b"ab", 3) == 2
    assert os.pread(fd, 4, 2) == b"2ab5"
    assert os.lseek(fd, 0, os.SEEK_CUR) == 10


def test_writev_and_readv_take_several_buffers(fd: int) -> None:
    assert os.writev(fd, [b"one", b"", b"two" * PAGE, b"three"]) == 8 + 3 * PAGE
    os.lseek(fd, 0, os.SEEK_SET)
    first, second = bytearray(2), bytearray(4)
    assert os.readv(fd, [first, second]) == 6
    assert first + second == b"onetwo"


def test_preadv_and_pwritev_take_an_offset(fd: int) -> None:
    assert os.pwritev(fd, [b"a", b"b"], 5) == 2
    buffer = bytearray(10)
    assert os.preadv(fd, [buffer], 4) == 3
    assert buffer[:3] == b"\0ab"


def test_reading_at_and_behind_the_end_returns_nothing(fd: int) -> None:
    os.write(fd, b"text")
    assert os.read(fd, 10) == b""
    assert os.pread(fd, 10, 4) == b""
    assert os.pread(fd, 10, 10**9) == b""


def test_overwriting_the_middle_keeps_the_rest(fd: int) -> None:
    os.write(fd, b"." * 10_000)
    os.pwrite(fd, b"x" * 5_000, 1_000)
    assert os.pread(fd, 20_000, 0) == b"." * 1_000 + b"x" * 5_000 + b"." * 4_000


def test_writing_nothing_changes_nothing(directory: Path, fd: int) -> None:
    os.write(fd, b"text")
    set_old(directory / "file")
    before = os.fstat(fd)
    assert os.write(fd, b"") == 0
    assert os.pwrite(fd, b"", 1_000) == 0
    assert os.fstat(fd) == before


def test_o_append_writes_at_the_end_from_two_handles(
    directory: Path, handle: Callable[..., int]
) -> None:
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
    first = handle(directory / "file", flags)
    second = handle(directory / "file", flags)
    for number in range(5):
        os.write(first, b"a%d" % number)
        os.write(second, b"b%d" % number)
    assert (directory / "file").read_bytes() == b"a0b0a1b1a2b2a3b3a4b4"


def test_o_append_from_several_processes_loses_nothing(directory: Path) -> None:
    (directory / "file").touch()

    def append(letter: bytes) -> None:
        fd = os.open(directory / "file", os.O_WRONLY | os.O_APPEND)
        for _ in range(100):
            os.write(fd, letter * 10)

    children = [Forked(partial(append, letter)) for letter in (b"a", b"b", b"c")]
    try:
        for child in children:
            child.result()
    finally:
        for child in children:
            child.end()
    data = (directory / "file").read_bytes()
    pieces = [data[at : at + 10] for at in range(0, len(data), 10)]
    assert sorted(pieces) == [letter * 10 for letter in (b"a", b"b", b"c") for _ in range(100)]


def test_lseek_finds_the_end_that_another_handle_has_moved(
    directory: Path, fd: int, handle: Callable[..., int]
) -> None:
    other = handle(directory / "file", os.O_WRONLY)
    os.write(other, b"12345")
    assert os.lseek(fd, 0, os.SEEK_END) == 5
    os.write(other, b"67")
    assert os.lseek(fd, -1, os.SEEK_END) == 6


def test_a_handle_for_reading_cannot_write(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").touch()
    with refused(EBADF):
        os.write(handle(directory / "file"), b"x")


def test_a_handle_for_writing_cannot_read(directory: Path, handle: Callable[..., int]) -> None:
    with refused(EBADF):
        os.read(handle(directory / "file", os.O_CREAT | os.O_WRONLY), 1)


def test_o_trunc_empties_a_file(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(noise(BIG))
    handle(directory / "file", os.O_WRONLY | os.O_TRUNC)
    assert (directory / "file").stat().st_size == 0
    assert (directory / "file").read_bytes() == b""


def test_o_trunc_is_seen_by_a_handle_that_has_read(directory: Path, fd: int) -> None:
    os.write(fd, b"text")
    assert os.pread(fd, 10, 0) == b"text"
    (directory / "file").write_bytes(b"")
    assert os.pread(fd, 10, 0) == b""
    (directory / "file").write_bytes(b"new")
    assert os.pread(fd, 10, 0) == b"new"


def test_o_excl_makes_a_file_only_once(directory: Path, handle: Callable[..., int]) -> None:
    handle(directory / "file", os.O_CREAT | os.O_EXCL)
    with refused(EEXIST):
        handle(directory / "file", os.O_CREAT | os.O_EXCL)


def test_o_creat_opens_a_file_that_exists(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").write_bytes(b"text")
    assert os.read(handle(directory / "file", os.O_CREAT | os.O_RDWR), 10) == b"text"


def test_of_several_processes_that_create_exclusively_one_succeeds(directory: Path) -> None:
    def create() -> int:
        made = 0
        for number in range(50):
            try:
                os.open(directory / str(number), os.O_CREAT | os.O_EXCL)
                made += 1
            except FileExistsError:
                pass
        return made

    children = [Forked(create) for _ in range(3)]
    try:
        assert sum(child.result() for child in children) == 50
    finally:
        for child in children:
            child.end()


def test_a_file_made_without_the_right_to_write_it_can_be_written_by_its_maker(
    open_directory: Path,
) -> None:
    def make() -> bytes:
        fd = os.open(open_directory / "file", os.O_CREAT | os.O_RDWR, 0o000)
        os.write(fd, b"text")
        return os.pread(fd, 10, 0)

    assert in_child(make, ALICE) == b"text"


def test_truncate_cuts(directory: Path) -> None:
    (directory / "file").write_bytes(b"0123456789")
    os.truncate(directory / "file", 4)
    assert (directory / "file").read_bytes() == b"0123"


def test_truncate_extends_with_zeros(directory: Path) -> None:
    (directory / "file").write_bytes(b"text")
    os.truncate(directory / "file", 10_000)
    assert (directory / "file").read_bytes() == b"text" + bytes(9_996)


def test_what_was_cut_does_not_come_back(fd: int) -> None:
    os.write(fd, b"x" * 10_000)
    os.ftruncate(fd, 3_000)
    os.ftruncate(fd, 10_000)
    assert os.pread(fd, 20_000, 0) == b"x" * 3_000 + bytes(7_000)


def test_truncate_needs_the_right_to_write(open_directory: Path) -> None:
    (open_directory / "file").write_bytes(b"text")
    with refused(EACCES):
        in_child(lambda: os.truncate(open_directory / "file", 0), ALICE)


def test_ftruncate_works_on_an_unlinked_file(directory: Path, fd: int) -> None:
    os.write(fd, b"0123456789")
    (directory / "file").unlink()
    os.ftruncate(fd, 5)
    assert os.fstat(fd).st_size == 5
    assert os.pread(fd, 10, 0) == b"01234"


def test_ftruncate_of_a_handle_for_reading_is_refused(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").touch()
    with refused(EINVAL):
        os.ftruncate(handle(directory / "file"), 0)


def test_truncate_of_a_directory_is_refused(directory: Path) -> None:
    with refused(EISDIR):
        os.truncate(directory, 0)
