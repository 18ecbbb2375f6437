"""Links."""

import os
from errno import (
    EEXIST,
    ENOENT,
    EPERM,
)
from pathlib import Path

from tests.mount.calls import refused


def test_links_are_counted(directory: Path) -> None:
    (directory / "file").touch()
    os.link(directory / "file", directory / "two")
    os.link(directory / "two", directory / "three")
    assert (directory / "file").stat().st_nlink == 3
    (directory / "file").unlink()
    assert (directory / "three").stat().st_nlink == 2


def test_an_open_handle_sees_the_number_of_links_change(directory: Path, fd: int) -> None:
    os.link(directory / "file", directory / "two")
    assert os.fstat(fd).st_nlink == 2
    (directory / "file").unlink()
    assert os.fstat(fd).st_nlink == 1


def test_linked_names_have_one_inode(directory: Path) -> None:
    (directory / "file").write_bytes(b"text")
    os.link(directory / "file", directory / "two")
    (directory / "two").write_bytes(b"changed")
    assert (directory / "file").read_bytes() == b"changed"
    assert (directory / "file").samefile(directory / "two")


def test_a_link_to_a_name_that_is_taken_is_refused(directory: Path) -> None:
    (directory / "file").touch()
    (directory / "two").touch()
    with refused(EEXIST):
        os.link(directory / "file", directory / "two")
    assert (directory / "file").stat().st_nlink == 1


def test_a_link_from_what_is_not_there_is_refused(directory: Path) -> None:
    with refused(ENOENT):
        os.link(directory / "missing", directory / "two")


def test_a_directory_cannot_be_linked(directory: Path) -> None:
    with refused(EPERM):
        os.link(directory, directory / "two")
