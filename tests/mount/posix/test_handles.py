"""Handles, and files that have nothing else."""

import os
import resource
import stat
from collections.abc import Callable
from errno import (
    EBADF,
    EISDIR,
    EMFILE,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
)
from pathlib import Path

from tests.mount.calls import link_following, refused
from tests.mount.posix.checks import names
from tests.mount.processes import ALICE, Forked, in_child


def test_a_duplicated_handle_shares_its_offset(fd: int) -> None:
    duplicate = os.dup(fd)
    os.write(fd, b"one")
    os.write(duplicate, b"two")
    os.close(duplicate)
    os.write(fd, b"three")
    assert os.pread(fd, 100, 0) == b"onetwothree"


def test_an_inherited_handle_shares_its_offset(fd: int) -> None:
    os.write(fd, b"one")
    in_child(lambda: os.write(fd, b"two"))
    os.write(fd, b"three")
    assert os.pread(fd, 100, 0) == b"onetwothree"


def test_an_inherited_handle_stays_open_when_the_parents_is_closed(directory: Path) -> None:
    reader, writer = os.pipe()
    fd = os.open(directory / "file", os.O_CREAT | os.O_WRONLY)

    def write_later() -> None:
        os.read(reader, 1)
        os.write(fd, b"text")

    child = Forked(write_later)
    os.close(fd)
    os.write(writer, b"!")
    child.result()
    child.end()
    os.close(reader)
    os.close(writer)
    assert (directory / "file").read_bytes() == b"text"


def test_handles_on_one_file_have_offsets_of_their_own(
    directory: Path, fd: int, handle: Callable[..., int]
) -> None:
    os.write(fd, b"0123456789")
    handles = [handle(directory / "file") for _ in range(300)]
    for number, opened in enumerate(handles):
        os.lseek(opened, number % 10, os.SEEK_SET)
    assert [os.read(opened, 1) for opened in handles] == [b"%d" % (n % 10) for n in range(300)]


def test_where_no_more_handles_are_allowed_no_file_is_made(directory: Path) -> None:
    def use_up() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
        for number in range(100):
            os.open(directory / str(number), os.O_CREAT | os.O_WRONLY)

    with refused(EMFILE):
        in_child(use_up)
    assert names(directory) == {str(number) for number in range(len(names(directory)))}
    assert 0 < len(names(directory)) < 30


def test_o_path_names_a_file_without_opening_it(
    open_directory: Path, handle: Callable[..., int]
) -> None:
    (open_directory / "file").write_bytes(b"text")
    fd = handle(open_directory / "file", os.O_PATH)
    assert os.fstat(fd).st_size == 4
    with refused(EBADF):
        os.read(fd, 1)
    again = handle(Path(f"/proc/self/fd/{fd}"))
    assert os.read(again, 10) == b"text"


def test_a_handle_can_be_opened_again_through_proc(writer: int, handle: Callable[..., int]) -> None:
    assert os.read(handle(Path(f"/proc/self/fd/{writer}")), 10) == b"begin"


def test_an_unlinked_file_can_be_opened_again_through_proc(
    directory: Path, writer: int, handle: Callable[..., int]
) -> None:
    (directory / "file").unlink()
    assert os.read(handle(Path(f"/proc/self/fd/{writer}")), 10) == b"begin"


def test_openat_finds_a_file_relative_to_a_directory(
    directory: Path, handle: Callable[..., int]
) -> None:
    (directory / "file").write_bytes(b"text")
    at = handle(directory, os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open("file", os.O_RDONLY, dir_fd=at)
    assert os.read(fd, 10) == b"text"
    os.close(fd)


def test_a_directory_cannot_be_opened_for_writing(
    directory: Path, handle: Callable[..., int]
) -> None:
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT | os.O_WRONLY):
        with refused(EISDIR):
            handle(directory, flags)


def test_a_file_is_no_directory(directory: Path, handle: Callable[..., int]) -> None:
    (directory / "file").touch()
    for path in (directory / "file" / "below", Path(f"{directory}/file/.")):
        with refused(ENOTDIR):
            os.stat(f"{path}/")
    with refused(ENOTDIR):
        handle(directory / "file", os.O_DIRECTORY)
    with refused(ENOTDIR):
        os.listdir(directory / "file")


def test_an_unlinked_file_lives_while_it_is_open(directory: Path, fd: int) -> None:
    os.write(fd, b"text")
    (directory / "file").unlink()
    assert names(directory) == set()
    assert os.pread(fd, 10, 0) == b"text"
    os.pwrite(fd, b"T", 0)
    assert os.pread(fd, 10, 0) == b"Text"


def test_fstat_of_an_unlinked_file_shows_no_links(directory: Path, fd: int) -> None:
    assert os.fstat(fd).st_nlink == 1
    (directory / "file").unlink()
    assert os.fstat(fd).st_nlink == 0


def test_an_unlinked_file_cannot_get_a_name_again(directory: Path, fd: int) -> None:
    (directory / "file").unlink()
    with refused(ENOENT):
        link_following(Path(f"/proc/self/fd/{fd}"), directory / "new")


def test_the_name_of_an_unlinked_open_file_is_free(directory: Path, fd: int) -> None:
    os.write(fd, b"old")
    (directory / "file").unlink()
    (directory / "file").write_bytes(b"new")
    assert os.pread(fd, 10, 0) == b"old"
    assert (directory / "file").read_bytes() == b"new"
    assert os.fstat(fd).st_ino != (directory / "file").stat().st_ino


def test_attributes_of_an_unlinked_file_can_be_changed(directory: Path, fd: int) -> None:
    (directory / "file").unlink()
    os.fchmod(fd, 0o600)
    os.fchown(fd, ALICE, ALICE)
    os.utime(fd, (1, 2))
    status = os.fstat(fd)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (ALICE, ALICE)
    assert (status.st_atime, status.st_mtime) == (1, 2)


def test_unlink_of_what_is_not_there_says_so(directory: Path) -> None:
    with refused(ENOENT):
        (directory / "missing").unlink()


def test_rmdir_of_a_directory_with_a_file_is_refused(directory: Path) -> None:
    (directory / "file").touch()
    with refused(ENOTEMPTY):
        directory.rmdir()
